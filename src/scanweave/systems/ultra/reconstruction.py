"""Network that a run fits: bins in 1/mm in, bins in 1/mm out, normalised within; ULTRA or one of its controls."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.fbpconvnet import FbpConvNet
from scanweave.nets.primal_dual import LearnedPrimalDual
from scanweave.nets.redcnn import RedCnn
from scanweave.nets.sizes import parameter_count
from scanweave.physics.ct.geometry import CtGeometry
from scanweave.physics.ct.projector import Projector
from scanweave.systems.ultra.config import Architecture, NetworkSettings
from scanweave.systems.ultra.network import UltraNet

LEAST_WIDTH, MOST_WIDTH = 3, 512
"""Widths among which `equal_width` looks."""


class PerBin(nn.Module):
    """A network of its own for each bin, each sees that bin alone.

    Args:
        networks: One for each bin, of a single channel.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, S, H, W)` to the same shape."""
        bins = torch.split(x, 1, dim=1)
        return torch.cat([network(one) for network, one in zip(self.networks, bins, strict=True)], dim=1)


class Reconstruction(nn.Module):
    """A network between two affine maps, one for each bin, that are stored with its weights.

    Args:
        settings: Which network.
        offset: Mean of each bin in the training images [1/mm], `(S,)`.
        scale: Their standard deviation [1/mm], `(S,)`.
        geometry: The scan; only learned primal–dual needs it.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        offset: Sequence[float],
        scale: Sequence[float],
        geometry: CtGeometry | None = None,
    ) -> None:
        super().__init__()
        self.offset: Tensor
        self.scale: Tensor
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32)[:, None, None])
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32)[:, None, None])
        self.body = _body(settings, len(offset), geometry)

    @property
    def needs_sinogram(self) -> bool:
        """True if it looks at the measurements, and so at whole slices only."""
        return isinstance(self.body, LearnedPrimalDual)

    def normalised(self, image: Tensor) -> Tensor:
        """Return images `(…, S, H, W)` [1/mm] in normalised units."""
        return (image - self.offset) / self.scale

    def forward(self, image: Tensor, sinogram: Tensor | None = None) -> Tensor:
        """Map filtered backprojections `(B, S, H, W)` [1/mm], and line integrals where needed, to clean images."""
        if not isinstance(self.body, LearnedPrimalDual):
            return self.body(self.normalised(image)) * self.scale + self.offset
        if sinogram is None:
            raise ScanweaveError(
                "sinogram", "learned primal–dual reconstructs from measurements", "Give line integrals"
            )
        return self.body(image / self.scale, sinogram / self.scale) * self.scale  # linear, so without an offset


def equal_width(settings: NetworkSettings, bins: int, goal: int) -> int:
    """Return the width with which an architecture comes nearest to a number of parameters."""

    def count(width: int) -> int:
        return parameter_count(_body(settings.model_copy(update={"width": width}), bins, None))

    with torch.device("meta"):
        near = bisect_left(range(MOST_WIDTH), goal, lo=LEAST_WIDTH, key=count)
        return min(
            (width for width in (near - 1, near) if width >= LEAST_WIDTH), key=lambda width: abs(count(width) - goal)
        )


def _body(settings: NetworkSettings, bins: int, geometry: CtGeometry | None) -> nn.Module:
    kind: Architecture = settings.architecture
    if kind == "ultra":
        return UltraNet(bins, settings)
    if kind == "fbpconvnet":
        return FbpConvNet(bins, bins, settings.width, settings.levels)
    if kind == "fbpconvnet-per-bin":
        return PerBin([FbpConvNet(1, 1, settings.width, settings.levels) for _ in range(bins)])
    if kind == "red-cnn":
        return RedCnn(bins, settings.width)
    if geometry is None:
        raise ScanweaveError("architecture", "learned primal–dual needs the geometry of the scan", "Give one geometry")
    return LearnedPrimalDual(Projector(geometry), geometry.shape, bins, settings.iterations, width=settings.width)
