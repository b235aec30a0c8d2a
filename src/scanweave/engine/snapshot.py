"""A training taken apart into named tensors and JSON, and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from scanweave.engine.checkpoint import State, read_tensors
from scanweave.engine.frozen_weights import FrozenWeights, on_cpu
from scanweave.errors import ScanweaveError, reason_of

Named = dict[str, Tensor]


class Snapshot:
    """Everything of a training that must be kept for it to continue bit by bit.

    Args:
        objective: The objective, with the network inside.
        network: The network.
        average: The moving average of the network, if one is kept.
        optimizer: The optimizer of the objective's trainable parameters.
        frozen: What is kept elsewhere.
    """

    def __init__(
        self,
        objective: nn.Module,
        network: nn.Module,
        average: AveragedModel | None,
        optimizer: torch.optim.Optimizer,
        frozen: FrozenWeights,
    ) -> None:
        self._objective, self._network, self._average, self._optimizer = objective, network, average, optimizer
        self._frozen = frozen
        prefixes = [name for name, module in objective.named_modules() if module is network]
        if not prefixes:
            raise ValueError("task.network is not a part of task.objective")
        self._prefix = f"{prefixes[0]}." if prefixes[0] else ""
        names = {weight: name for name, weight in objective.named_parameters()}
        # In the order of the optimizer's numbers, which is that of its groups.
        self._trained = [names[weight] for group in optimizer.param_groups for weight in group["params"]]

    def begin(self) -> None:
        """Keep what no step changes, before the first one."""
        self._frozen.begin()

    def tensors(self, state: State) -> dict[str, Named]:
        """Return copies of all tensors by file, and note in `state` what is not a tensor.

        Parameters that are still what they were when the run began are left out.
        """
        groups = {
            "network": self._frozen.left_out(_copies(self._network.state_dict()), self._prefix),
            "objective": self._frozen.left_out(_copies(self._beside_the_network())),
            "optimizer": {},
        }
        state.frozen = self._frozen.digests
        state.optimizer = {}
        for number, values in self._optimizer.state_dict()["state"].items():
            for name, value in values.items():
                key = f"{self._trained[number]}:{name}"
                if isinstance(value, Tensor):
                    groups["optimizer"][key] = on_cpu(value)
                else:
                    state.optimizer[key] = value
        if self._average is not None:
            groups["ema"] = self._frozen.left_out(_copies(self._average.module.state_dict()), self._prefix)
            state.averaged = int(self._average.n_averaged)
        return {name: group for name, group in groups.items() if group}

    def exported(self) -> Named:
        """Return copies of the weights to export: the moving average where one is kept, else the network's."""
        return _copies((self._average.module if self._average is not None else self._network).state_dict())

    def best(self) -> Named:
        """Return the weights to export without those that are still what they were when the run began."""
        return self._frozen.left_out(self.exported(), self._prefix)

    def completed(self, best: Named) -> Named:
        """Return the weights to export from what `best` returned, in this or an earlier session.

        Raises:
            ScanweaveError: What is left out there is lost.
        """
        frozen = self._frozen.digests
        known = {name for name in frozen if not name.startswith(self._prefix)} | self._outside(best).keys()
        return {**self._inside(self._frozen.resume(frozen, known)), **best}

    def restore(self, path: Path, state: State) -> None:
        """Load an intact checkpoint.

        Raises:
            ScanweaveError: It belongs to another network.
        """
        groups = read_tensors(path)
        kept = self._outside(groups.get("network", {})) | groups.get("objective", {})
        known = set(kept)
        if self._average is not None:  # what the average leaves out itself is needed all the same
            known -= self._outside(self._average.module.state_dict()).keys()
            known |= self._outside(groups.get("ema", {})).keys() & kept.keys()
        start = self._frozen.resume(state.frozen, known)
        try:
            self._objective.load_state_dict({**start, **kept})
            if self._average is not None:
                self._average.module.load_state_dict({**self._inside(start), **groups.get("ema", {})})
                self._average.n_averaged.fill_(state.averaged)
            self._restore_optimizer(groups.get("optimizer", {}), state.optimizer)
        except (RuntimeError, KeyError, ValueError) as error:
            reason = f"does not fit the network ({reason_of(error)})"
            raise ScanweaveError(
                path, reason, "Use the code that began this run, or fit into another folder"
            ) from error

    def _restore_optimizer(self, tensors: Mapping[str, Tensor], others: Mapping[str, Any]) -> None:
        numbers = {name: number for number, name in enumerate(self._trained)}
        values: dict[int, dict[str, Any]] = {}
        for key, value in [*tensors.items(), *others.items()]:
            weight, _, name = key.rpartition(":")
            values.setdefault(numbers[weight], {})[name] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": values})

    def _inside(self, tensors: Named) -> Named:
        length = len(self._prefix)
        return {name[length:]: value for name, value in tensors.items() if name.startswith(self._prefix)}

    def _outside(self, tensors: Mapping[str, Tensor]) -> Named:
        return {f"{self._prefix}{name}": value for name, value in tensors.items()}

    def _beside_the_network(self) -> Named:
        # With the network as the objective itself the prefix is empty, and nothing lies beside it.
        state = self._objective.state_dict()
        return {name: value for name, value in state.items() if not name.startswith(self._prefix)}


def _copies(tensors: Mapping[str, Tensor]) -> Named:
    return {name: on_cpu(value) for name, value in tensors.items()}
