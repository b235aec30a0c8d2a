"""Total variation reconstruction for any linear operator: the control that every learned method stands beside."""

from __future__ import annotations

import torch
from deepinv.models import TVDenoiser
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError

BALANCE = 0.1
"""Dual over primal step; of those tried, the fastest for images whose root mean square is 1."""


class TotalVariation:
    """argmin_f ½‖A f − p‖² / ‖A‖² + λ s Σ|∇f|, s = RMS(A†p), by Chambolle and Pock 2011, algorithm 1.

    Differentiable through all its iterations, and 1-homogeneous: twice the measurement, twice the image.

    Args:
        physics: The scanner A.
        weight: λ, to be chosen on validation images for each kind of scan and noise.
        iterations: How many; always the same.
        coupled: Whether channels share their edges, as real and imaginary part do.
    """

    def __init__(self, physics: LinearPhysics, weight: float, iterations: int = 200, coupled: bool = False) -> None:
        if not weight >= 0 or iterations < 1:
            raise ScanweaveError("TV", f"weight {weight}, {iterations} iterations", "Give 0 or more, and 1 or more")
        self.physics, self.weight, self.iterations, self.coupled = physics, weight, iterations, coupled
        self._norm: float | None = None

    def __call__(self, measurement: Tensor) -> Tensor:
        """Return the image `(B, C, H, W)` of a measurement."""
        start = self.physics.A_dagger(measurement)
        scale = start.square().mean(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(start.dtype).tiny).sqrt()
        if self._norm is None:
            self._norm = operator_norm(self.physics, start)
        data = measurement / (self._norm * scale)
        image = leading = start / scale
        residual, edges = torch.zeros_like(data), torch.zeros((*image.shape, 2), dtype=image.dtype, device=image.device)
        dual = BALANCE / 3  # ‖A / ‖A‖‖² + ‖∇‖² ≤ 9
        primal = 1 / (9 * dual)
        for _ in range(self.iterations):
            seen = self.physics.A(leading) / self._norm
            residual = (residual + dual * (seen - data)) / (1 + dual)
            edges = self._clipped(edges + dual * TVDenoiser.nabla(leading))
            back = self.physics.A_adjoint(residual) / self._norm + TVDenoiser.nabla_adjoint(edges)
            before, image = image, image - primal * back
            leading = 2 * image - before
        return scale * image

    def _clipped(self, edges: Tensor) -> Tensor:
        axes = (1, -1) if self.coupled else (-1,)
        square = edges.square().sum(dim=axes, keepdim=True)
        if not self.weight:
            return torch.zeros_like(edges)
        inside = square <= self.weight**2
        return torch.where(inside, edges, self.weight * edges * torch.where(inside, 1.0, square).rsqrt())


def operator_norm(physics: LinearPhysics, like: Tensor, rounds: int = 50) -> float:
    """Return ‖A‖ by power iteration from noise of a fixed seed.

    Args:
        physics: The scanner.
        like: An image `(B, C, H, W)` of its grid.
        rounds: Iterations.
    """
    image = torch.randn(like.shape[1:], generator=Generator().manual_seed(0))[None].to(like)
    value = 0.0
    with torch.no_grad():
        for _ in range(rounds):
            image = physics.A_adjoint(physics.A(image / image.norm()))
            value = float(image.norm())
    return value**0.5
