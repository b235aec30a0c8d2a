"""The interface of a network that finds boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from scanweave.systems.detect.targets import FilmTargets, Found


class Detector(nn.Module, ABC):
    """Find boxes in films `(B, C, H, W)`."""

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[FilmTargets]) -> dict[str, Tensor]:
        """Return the losses of a batch by name; `label` is that of classes of which the label alone is known."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[list[Found], Tensor]:
        """Return what is found in each film, and its score for each class `(B, K)`."""

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Return a feature of each film `(B, D)`."""
