"""The numbers of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class ScalarLog:
    """A folder that TensorBoard reads; made, and torch loaded, with the first number.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of a step, by name; of an earlier session none counts from the first step of this one on."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is not on disk yet, and close the file; a later number opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
