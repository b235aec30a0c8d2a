"""Interfaces of what a system hands to the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import nn


class Samples(Protocol):
    """An endless series of training samples, each a pure function of a seed and its index.

    A sample must not depend on what was read before: draw from `numpy.random.default_rng([seed, index])`. Resume,
    workers and several processes then need no state of any random generator.

    An optional method `case(index: int) -> str` names the case of a sample without reading it; messages about a
    reader that was killed or hangs name the case if it is there, and else the index.
    """

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """Return sample `index` (0, 1, 2, …) with its tensors and the name of its case under "case"."""
        ...


class Task(Protocol):
    """Learning task: a network, its objective, its samples and how to validate it.

    Seed the initial weights from the same seed as the samples: then the same command gives the same run.

    A task may have more, each by itself: `parts` (`HasParts`), `players` (`HasPlayers`), `after_step` (`HasHook`), and
    two attributes. `validates = False` says that there is nothing to validate on: `validate` is not called.
    `batch_coupled = True` says that the loss compares the samples of a batch with each other, as contrastive losses do:
    then `accumulate` above 1 is refused, since it would change what the loss means.
    """

    @property
    def objective(self) -> nn.Module:
        """Module around the network; `forward(batch)` returns named scalar tensors.

        "loss", the mean over the samples of the batch, is minimised; the others are logged. All processes must return
        the same names. Every parameter that requires a gradient is trained; the others are kept once in a run, not in
        every checkpoint, as long as nothing changes them. Frozen parts with running statistics override `train`.
        """
        ...

    @property
    def network(self) -> nn.Module:
        """The part of the objective that is validated and exported."""
        ...

    @property
    def samples(self) -> Samples:
        """The training samples."""
        ...

    @property
    def monitor(self) -> str:
        """The validation metric that decides which weights are best."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Tell whether a higher `monitor` is better."""
        ...

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Join samples to a batch of tensors with a leading axis B.

        Runs in the reading processes. Where these are spawned rather than forked (macOS), the samples and this
        function are pickled to them: make it a static method, so that the network stays behind.
        """
        ...

    def validate(self, network: nn.Module) -> Mapping[str, float] | None:
        """Return the metrics of the network, or None where there is nothing to validate on.

        Called on the first process only, without gradients, with the network in evaluation mode, on its device, in
        fp32, and holding the averaged weights where an average is kept. Torch's global generator is seeded by the step.
        """
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """Parameters with optimiser settings of their own.

    Attributes:
        parameters: The parameters; those that require no gradient are passed over.
        rate: Factor on the learning rate, such as 0.1 for a pre-trained encoder.
        weight_decay: In place of `TrainingSettings.weight_decay`; None: the same.
    """

    parameters: Iterable[nn.Parameter] = field(repr=False)
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True, eq=False)
class Player:
    """One of several adversaries that learn in the same step, such as a generator.

    Attributes:
        parameters: What it trains; no parameter belongs to two players.
        loss: Name of the term that it minimises, from the same forward pass as the others'.
        rate: Factor on the learning rate, on top of that of a part.
        betas: In place of `TrainingSettings.betas`, for Adam; None: the same.
    """

    parameters: Iterable[nn.Parameter] = field(repr=False)
    loss: str
    rate: float = 1.0
    betas: tuple[float, float] | None = None


@runtime_checkable
class HasParts(Protocol):
    """A task whose parameters are not all trained alike."""

    def parts(self) -> Mapping[str, Part]:
        """Return parts by name; what is in none is trained by the settings as they are."""
        ...


@runtime_checkable
class HasPlayers(Protocol):
    """A task of several adversaries.

    The gradients of all are taken at the same weights (simultaneous gradient descent: Mescheder et al., "The Numerics
    of GANs", NeurIPS 2017), each clipped by itself, and all of them move or, where one loss or gradient is not finite,
    none. A player's loss may run through another's parameters, which it leaves alone. There need be no term "loss".
    """

    def players(self) -> Mapping[str, Player]:
        """Return the players by name; together they have every parameter that requires a gradient."""
        ...


@runtime_checkable
class HasHook(Protocol):
    """A task that does more after an update: moves a teacher, prototypes or centres."""

    def after_step(self, step: int) -> None:
        """Change the objective after update `step` (1, 2, 3, …); not called after a step that was skipped.

        Called on every process, without gradients, before the moving average is taken, with torch's global generator
        seeded by the step. All that it remembers must be parameters or persistent buffers of the objective, which the
        checkpoints hold; what it computes from samples must be the same on all processes.
        """
        ...
