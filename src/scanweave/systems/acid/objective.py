"""The loss of one training step."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor, nn

from scanweave.systems.acid.network import ScaleEquivariant

FLOOR = 1e-8
"""Smallest squared ratio: the derivative of a norm at 0 has no direction."""


class AcidObjective(nn.Module):
    """The bounded relative error norm itself, on what the loop will feed the network.

    L = mean ‖Φ(y) − f‖ / ‖f‖. Of the samples marked so, y and f are first replaced by the network's own residual and
    error, y − A Φ(y) and f − Φ(y), at the weights of this step and without a derivative: there it is the BREN ratio. A
    ratio of norms, not of their squares: residuals, of which part cannot be told from the data, would outweigh images.

    Args:
        network: Maps A†y to the image.
        physics: The scanner A.
    """

    def __init__(self, network: ScaleEquivariant, physics: LinearPhysics) -> None:
        super().__init__()
        self.network = network
        self._physics = [physics]  # in a list, so that it is no part of the module: operators have buffers

    @property
    def physics(self) -> LinearPhysics:
        """The scanner."""
        return self._physics[0]

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the loss, and its means over images and over residuals.

        Args:
            batch: `measurement` `(B, C, …)`, `image` `(B, C, H, W)`, `residual` `(B,)`.
        """
        measurement, image = self._with_residuals(batch["measurement"], batch["image"], batch["residual"])
        made = self.network(self.physics.A_dagger(measurement))
        tiny = torch.finfo(image.dtype).tiny
        size = image.square().flatten(1).sum(dim=1).clamp_min(tiny)
        each = ((made - image).square().flatten(1).sum(dim=1) / size).clamp_min(FLOOR).sqrt()
        chosen = batch["residual"].to(each)
        return {
            "loss": each.mean(),
            "image": (each * (1 - chosen)).sum() / (1 - chosen).sum().clamp_min(1),
            "residual": (each * chosen).sum() / chosen.sum().clamp_min(1),
        }

    def _with_residuals(self, measurement: Tensor, image: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        if not chosen.any():
            return measurement, image
        with torch.no_grad():
            first = self.network(self.physics.A_dagger(measurement[chosen]))
            measurement, image = measurement.clone(), image.clone()
            measurement[chosen] -= self.physics.A(first)
            image[chosen] -= first
        return measurement, image
