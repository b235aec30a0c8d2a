"""The loss of one step: proposals, classes and boxes of the findings, and labels where no box is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scanweave.systems.detect.config import LossSettings
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.targets import film_targets


class DetectObjective(nn.Module):
    """Sum of the losses of a detector.

    Args:
        network: What is trained.
        settings: Weight of films with labels alone.
    """

    def __init__(self, network: Detector, settings: LossSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its parts: of `image`, and the fields of `targets.film_targets`."""
        found = self.network.losses(batch["image"], film_targets(batch))
        weights = {"label": self.settings.image}
        total = torch.stack([weights.get(name, 1.0) * value for name, value in found.items()]).sum()
        return {"loss": total, **found}
