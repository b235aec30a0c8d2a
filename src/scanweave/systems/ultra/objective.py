"""The loss of one step: data term, spatial–spectral total variation, bin correlation.

L = (1/N) Σ w_s ρ_p(û − u) + λ_TV (1/N) Σ [α_x ψ(∂_x û) + α_y ψ(∂_y û) + α_s ψ(∂_s û)] + λ_c L_corr, on normalised bins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.systems.ultra.config import ObjectiveSettings
from scanweave.systems.ultra.reconstruction import Reconstruction

AXES = (-1, -2, -3)
"""x, y and energy of `(B, S, H, W)`."""


def smoothed_power(error: Tensor, p: float, epsilon: float) -> Tensor:
    """Return ρ_p(r) = (r² + ε²)^{p/2} − ε^p: |r|^p, but with a finite slope at 0."""
    return (error**2 + epsilon**2) ** (p / 2) - epsilon**p


def total_variation(
    made: Tensor, weights: tuple[float, float, float], epsilon: float, guide: Tensor | None = None, delta: float = 0.1
) -> Tensor:
    """Return the mean over pixels of Σ_d α_d ψ(∂_d û), ψ the smoothed absolute value.

    With a guide g, α_d is multiplied by exp(−(∂_d g / δ)²): edges that it has cost nothing.

    Args:
        made: Images `(B, S, H, W)`.
        weights: α along x, y and energy.
        epsilon: Where ψ is rounded off.
        guide: Images of the same shape.
        delta: Step of the guide at which a weight falls to 1/e.
    """
    total = made.new_zeros(())
    for axis, weight in zip(AXES, weights, strict=True):
        if not weight or made.shape[axis] < 2:
            continue
        variation = smoothed_power(torch.diff(made, dim=axis), 1.0, epsilon)
        if guide is not None:
            variation = variation * torch.exp(-((torch.diff(guide, dim=axis) / delta) ** 2))
        total = total + weight * variation.sum() / made.numel()
    return total


def bin_correlation(made: Tensor, epsilon: float) -> Tensor:
    """Return the mean distance between the gradient direction of each bin and that of the mean of the bins.

    Directions are ∇u / √(|∇u|² + η²) with η = 100 ε, so that flat regions have none.
    """
    distance = _directions(made, 100 * epsilon) - _directions(made.mean(dim=1, keepdim=True), 100 * epsilon)
    return distance.abs().mean()


class UltraObjective(nn.Module):
    """The loss around a network.

    Args:
        network: What is trained.
        settings: Exponent and weights.

    Raises:
        ScanweaveError: There are weights for another number of bins.
    """

    def __init__(self, network: Reconstruction, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        bins = len(network.offset)
        if settings.bin_weights and len(settings.bin_weights) != bins:
            raise ScanweaveError(
                "objective.bin_weights", f"{len(settings.bin_weights)} weights for {bins} bins", "Give one for each bin"
            )
        weights = torch.tensor(settings.bin_weights or [1.0] * bins)
        self.bin_weights: Tensor
        self.register_buffer("bin_weights", (weights / weights.mean())[:, None, None], persistent=False)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the loss and its terms.

        Args:
            batch: `image` and `target` `(B, S, H, W)` [1/mm], and `sinogram` where the network needs it.
        """
        settings, network = self.settings, self.network
        made = network.normalised(network(batch["image"], batch.get("sinogram")))
        target = network.normalised(batch["target"])
        terms = {"data": (self.bin_weights * smoothed_power(made - target, settings.p, settings.smoothing)).mean()}
        if settings.tv:
            across = 1.0 if settings.tv_weights == "isotropic" else settings.spectral
            guide = target if settings.tv_weights == "adaptive" else None
            weights = (1.0, 1.0, across)
            variation = total_variation(made, weights, settings.smoothing, guide, settings.delta)
            terms["tv"] = settings.tv * variation
        if settings.correlation:
            terms["correlation"] = settings.correlation * bin_correlation(made, settings.smoothing)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}


def _directions(image: Tensor, eta: float) -> Tensor:
    gradient = torch.stack(
        [F.pad(torch.diff(image, dim=-1), (0, 1)), F.pad(torch.diff(image, dim=-2), (0, 0, 0, 1))], dim=-1
    )
    return gradient / torch.sqrt((gradient**2).sum(dim=-1, keepdim=True) + eta**2)
