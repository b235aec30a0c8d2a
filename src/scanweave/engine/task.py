"""What a system hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

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
    """What to learn: a network, its objective, its samples and how to validate it.

    Seed the initial weights from the same seed as the samples: then the same command gives the same run.
    """

    @property
    def objective(self) -> nn.Module:
        """Module around the network; `forward(batch)` returns named scalar tensors.

        "loss", the mean over the samples of the batch, is minimised; the others are logged. All processes must return
        the same names. Every parameter that requires a gradient is trained. Frozen parts override `train`.
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
        """Whether a higher `monitor` is better."""
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
