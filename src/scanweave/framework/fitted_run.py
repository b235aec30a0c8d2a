"""A finished run in memory: its settings, its plan and its weights; what every verb but the fit works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from pydantic import BaseModel
from torch import nn

from scanweave.engine.cohort_parts import known_patients
from scanweave.engine.loop import check_device, device_words, open_accelerator
from scanweave.engine.run import Run
from scanweave.engine.settings import checked
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CONFIG, PLAN
from scanweave.framework.network_memory import refuse_unloadable
from scanweave.framework.predicting import wanted_targets
from scanweave.framework.pruning.pruned_run import narrow_as

C = TypeVar("C", bound=BaseModel)
N = TypeVar("N", bound=nn.Module)


class FittedRun(Generic[C]):
    """A finished run.

    A system's own class says what its settings and its plan are, and makes its networks.

    Args:
        run: The run folder.
        device: Where to compute: "auto", "cpu", "cuda" or "mps"; refused where it is not there.

    Attributes:
        run: The run folder.
        device: Where its networks compute, once one is loaded.
        config: The settings of the fit.
        plan: What it knows of its data: `targets` that it makes, of which `sources`.
    """

    config_class: ClassVar[type[BaseModel]]
    plan_class: ClassVar[Any]
    plan_file: ClassVar[str] = PLAN
    config: C
    device: torch.device

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.config = fitted_config(run, self.config_class)  # type: ignore[assignment]  # the class of C
        self.plan = self.plan_class.load(run.folder / self.plan_file)
        check_device(device)
        self._wanted_device = device

    @property
    def structures(self) -> Mapping[str, Mapping[str, Sequence[int]]]:
        """Return the meaning of the numbers of each mask that it makes, by name, for the cohort of its predictions."""
        return {}

    def _repr_html_(self) -> str:
        """Show the run in a notebook."""
        return self.run._repr_html_()

    def loaded(self, make: Callable[[], N]) -> N:
        """Return a network with the fitted weights on the device, ready to predict and not to train.

        Args:
            make: Makes the network as it was fitted; its precision is fp32 here, whatever it was trained in, and its
                first weights, which the fitted ones replace, come from a generator of their own.

        Raises:
            ScanweaveError: The weights are absent, damaged or of another network, memory cannot hold the network, or
                there is no such device.
        """
        config: Any = self.config
        settings = config.training.model_copy(update={"device": self._wanted_device, "precision": "fp32"})
        self.device = open_accelerator(settings).device
        with torch.random.fork_rng(devices=[]):
            refuse_unloadable(make, self.run.folder / CONFIG, config)
            network = make()
            narrow_as(network, self.run)
        fitted = with_weights(network, self.run.weights).to(self.device)
        return fitted.eval().requires_grad_(False)

    def cautions(self) -> dict[str, str]:
        """Return what is known against a target, by name and in words; its predictions carry it. Nothing by default."""
        return {}

    def learnt_from(self) -> frozenset[str]:
        """Return the patients that shaped the run, in training or validation: whoever is tried on it is none of them.

        Raises:
            ScanweaveError: A run of an early version does not tell.
        """
        known = known_patients(self.run)
        if known is None:
            reason = "does not tell whom it learnt from"
            raise ScanweaveError(self.run.folder, reason, "Fit it again with this version")
        return known

    @property
    def computes_on(self) -> str:
        """The device in words, such as "cpu, 2 threads"; empty where no network is loaded."""
        device = getattr(self, "device", None)
        return "" if device is None else device_words(device)

    def wanted(self, targets: Sequence[str] | None, unasked: Sequence[str]) -> list[str]:
        """Return the targets that are asked for, or those that are made unasked.

        Raises:
            ScanweaveError: The run does not know a target.
        """
        return wanted_targets(targets, unasked, self.plan.targets)


def fitted_config(run: Run, kind: type[C]) -> C:
    """Return the settings that a run was fitted with."""
    values = {name: value for name, value in run.config.items() if name not in ("fold", "splits")}
    return checked(kind, values, Path(run.folder) / CONFIG)
