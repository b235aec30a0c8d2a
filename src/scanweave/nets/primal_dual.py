"""Learned primal–dual reconstruction (Adler and Öktem, IEEE Trans. Med. Imaging 37(6), 2018), small."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from scanweave.errors import ScanweaveError


class LinearMap(Protocol):
    """A linear map of images and its exact transpose, differentiable, such as `physics.ct.projector.Projector`."""

    def forward(self, image: Tensor) -> Tensor:
        """Map `(…, H, W)` to `(…, views, detectors)`."""

    def adjoint(self, sinogram: Tensor) -> Tensor:
        """Map `(…, views, detectors)` to `(…, H, W)`."""


class LearnedPrimalDual(nn.Module):
    """Unrolled updates of image and sinogram by small networks, with the exact A and Aᵀ between them.

    h ← h + Γ_i(h, A f₁, g) and f ← f + Λ_i(f, Aᵀ h₁), for i = 1 … I, with A divided by its norm. Differs from the
    paper: it starts at the filtered backprojection, several energy bins are channels of one image, and the last layer
    of each block is zero at the start.

    Args:
        projector: Line integrals A and their transpose.
        shape: Pixels of the image `(H, W)`.
        channels: Energy bins S.
        iterations: Unrolled iterations I; 10 in the paper.
        memory: Copies of image and sinogram that are carried along; 5 in the paper.
        width: Channels within a block; 32 in the paper.
    """

    def __init__(
        self,
        projector: LinearMap,
        shape: tuple[int, int],
        channels: int,
        iterations: int = 5,
        memory: int = 3,
        width: int = 32,
    ) -> None:
        super().__init__()
        if min(channels, iterations, memory, width) < 1:
            raise ScanweaveError(
                "LearnedPrimalDual",
                f"{channels} channels, {iterations} iterations, memory {memory}, width {width}",
                "Give positive numbers",
            )
        self.channels, self.memory = channels, memory
        self.projector = projector
        self.scale = 1 / _norm(projector, shape)
        carried = channels * memory
        self.dual = nn.ModuleList(_block(carried + 2 * channels, width, carried) for _ in range(iterations))
        self.primal = nn.ModuleList(_block(carried + channels, width, carried) for _ in range(iterations))

    def forward(self, image: Tensor, sinogram: Tensor) -> Tensor:
        """Reconstruct.

        Args:
            image: Filtered backprojection `(B, S, H, W)`, in any unit per mm.
            sinogram: Line integrals `(B, S, views, detectors)` in the same unit.

        Returns:
            Images `(B, S, H, W)`.
        """
        measured = self.scale * sinogram
        f = image.repeat(1, self.memory, 1, 1)
        h = torch.zeros_like(measured).repeat(1, self.memory, 1, 1)
        for dual, primal in zip(self.dual, self.primal, strict=True):
            projected = self.scale * self.projector.forward(f[:, : self.channels].contiguous())
            h = h + dual(torch.cat([h, projected, measured], dim=1))
            back = self.scale * self.projector.adjoint(h[:, : self.channels].contiguous())
            f = f + primal(torch.cat([f, back], dim=1))
        return f[:, : self.channels]


def _block(channels_in: int, width: int, channels_out: int) -> nn.Sequential:
    last = nn.Conv2d(width, channels_out, 3, padding=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    first = [nn.Conv2d(channels_in, width, 3, padding=1), nn.PReLU(width)]
    return nn.Sequential(*first, nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width), last)


def _norm(projector: LinearMap, shape: tuple[int, int]) -> float:
    """Return the largest singular value of A [mm], by power iteration from a constant image."""
    image, value = torch.ones(1, *shape, device="cpu"), torch.tensor(1.0)
    for _ in range(20):
        image = projector.adjoint(projector.forward(image / image.norm()))
        value = image.norm()
    return float(value) ** 0.5
