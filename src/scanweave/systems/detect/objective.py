"""The loss of one step: proposals, classes and boxes of the findings, and labels where no box is known."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from scanweave.systems.detect.config import LossSettings
from scanweave.systems.detect.targets import FilmTargets, Found, film_targets


class Detector(Protocol):
    """A network that finds boxes; see `network.CheXDet`."""

    def losses(self, images: Tensor, targets: list[FilmTargets]) -> dict[str, Tensor]:
        """Return the losses of a batch by name, `label` among them."""
        ...

    def __call__(self, images: Tensor) -> tuple[list[Found], Tensor]:
        """Return what is found in each film, and its score for each class `(B, K)`."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """Return a feature of each film `(B, D)`."""
        ...


class DetectObjective(nn.Module):
    """Sum of the losses of a detector.

    Args:
        network: What is trained.
        settings: Weight of films with labels alone.
    """

    def __init__(self, network: nn.Module, settings: LossSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its parts: of `image`, and the fields of `targets.film_targets`."""
        found: dict[str, Tensor] = self.network.losses(batch["image"], film_targets(batch))  # type: ignore[operator]
        weights = {"label": self.settings.image}
        total = sum(weights.get(name, 1.0) * value for name, value in found.items())
        return {"loss": total, **found}  # type: ignore[dict-item]
