"""Tokens of an image: a small convolutional network for each modality, blind to what lies beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POSITION_DEVIATION = 0.02
"""Of the first positions, as usual for vision transformers."""
_CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
_POOLS = {2: F.max_pool2d, 3: F.max_pool3d}


class Tokens(NamedTuple):
    """Tokens of one modality.

    Attributes:
        values: `(B, n, D)`.
        there: Which of them are of the image `(B, n)`; None: all.
    """

    values: Tensor
    there: Tensor | None


class Stem(nn.Module):
    """Three convolutions of stride 2, each with a norm (if any) and a rectifier; at stride 16 then a maximum over 3.

    An image may be smaller than the batch that it is in: what lies beside it is 0 after every layer, as if the image
    ended there, and takes no part in a norm (the published code masks no padding).

    Args:
        channels: Of the image C.
        size: Of the input along (Z,) Y, X; the positions are learnt for it.
        stages: Channels of the first two convolutions.
        width: Of a token D.
        stride: Voxels along an axis that make one token, 8 or 16.
        norm: `instance` or `none`.
    """

    def __init__(
        self, channels: int, size: Sequence[int], stages: Sequence[int], width: int, stride: int, norm: str
    ) -> None:
        super().__init__()
        make = _CONVOLUTIONS[len(size)]
        widths = [channels, *stages, width]
        self.convolutions = nn.ModuleList(make(a, b, 3, 2, 1) for a, b in pairwise(widths))
        if norm == "none":  # else the signal fades from layer to layer
            for convolution in self.convolutions:
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # type: ignore[arg-type]
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        self.norms = nn.ModuleList(_norm(norm, one) for one in widths[1:])
        self.pools = stride == 16
        grid = tuple(-(-edge // stride) for edge in size)
        self.positions = nn.Parameter(torch.empty(*grid, width))
        nn.init.trunc_normal_(self.positions, std=POSITION_DEVIATION)

    def forward(self, x: Tensor, extent: Tensor | None = None, place: Tensor | None = None) -> Tokens:
        """Map images to tokens.

        Args:
            x: `(B, C, [Z,] Y, X)`; what lies beyond the extent is not read.
            extent: Voxels of each image along each axis, from the first one on `(B, axes)`; None: all of `x`.
            place: Where in the input each image lies, from 0 (at its beginning) to 1 (at its end), along each axis
                `(B, axes)`; None: in its middle.
        """
        there = _within(extent, x)
        x = x if there is None else torch.where(there, x, 0.0)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x)
            extent = _halved(extent)
            there = _within(extent, x)
            x = norm(x, there)
            x = F.relu(x if there is None else x * there)  # in this order one tensor is kept for the gradient, not two
        if self.pools:
            x = _POOLS[x.ndim - 2](x, 3, 2, 1)
            extent = _halved(extent)
            there = _within(extent, x)
        values = x.flatten(2).transpose(1, 2) + self._positions(x, extent, place)
        return Tokens(values, None if there is None else there.flatten(1))

    def _positions(self, x: Tensor, extent: Tensor | None, place: Tensor | None) -> Tensor:
        """The positions of the tokens `(1 or B, n, D)`."""
        grid, shape = self.positions.shape[:-1], x.shape[2:]
        if extent is None and tuple(shape) == tuple(grid):
            return self.positions.flatten(0, -2)[None]
        extent = extent if extent is not None else torch.tensor([shape] * len(x), device=x.device)
        index = torch.zeros(len(x), *shape, dtype=torch.long, device=x.device)
        for axis, (edge, count) in enumerate(zip(grid, shape, strict=True)):
            room = (edge - extent[:, axis]).clamp(min=0)
            start = room // 2 if place is None else (place[:, axis] * room).round().long()
            along = (start[:, None] + torch.arange(count, device=x.device)).clamp(max=edge - 1)
            index = index * edge + along.view(len(x), *(count if other == axis else 1 for other in range(len(shape))))
        return self.positions.flatten(0, -2)[index.flatten(1)]


class FeatureStem(nn.Module):
    """A token for each place of a feature of an encoder, which sees whole inputs: images are never pasted.

    Args:
        channels: Of the feature.
        places: How many it has.
        width: Of a token D.
    """

    def __init__(self, channels: int, places: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.positions = nn.Parameter(torch.empty(places, width))
        nn.init.trunc_normal_(self.positions, std=POSITION_DEVIATION)

    def forward(self, feature: Tensor, extent: Tensor | None = None, place: Tensor | None = None) -> Tokens:
        """Map features `(B, C, [Z,] Y, X)` to tokens; there is no extent, and so no place."""
        return Tokens(self.embed(feature.flatten(2).transpose(1, 2)) + self.positions, None)


def _norm(kind: str, channels: int) -> nn.Module:
    return InstanceNorm(channels) if kind == "instance" else NoNorm()


class _ChannelScales(nn.Module):
    """A norm's scale and shift of each channel.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))


class InstanceNorm(_ChannelScales):
    """Norm of each channel over the voxels of the image, whatever lies beside it."""

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Normalise `(B, C, …)`; `there` `(B, 1, …)` says which voxels are of the image, None: all."""
        axes = tuple(range(2, x.ndim))
        if there is None:
            centred = x - x.mean(axes, keepdim=True)
            variance = centred.square().mean(axes, keepdim=True)
        else:
            count = there.sum(axes, keepdim=True)
            centred = x - (x * there).sum(axes, keepdim=True) / count
            variance = (centred.square() * there).sum(axes, keepdim=True) / count
        # The two scales are one before they meet the image: it is kept once for the gradient.
        scale = (variance + 1e-5).rsqrt() * _along_channels(self.weight, x)
        return centred * scale + _along_channels(self.bias, x)


class NoNorm(nn.Module):
    """Leaves an image as it is, and with it how bright it is, which a norm takes away."""

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Return `(B, C, …)`."""
        return x


def _along_channels(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.ndim - 2))


def _halved(extent: Tensor | None) -> Tensor | None:
    """Return the extents after a layer of stride 2."""
    return None if extent is None else (extent + 1) // 2


def _within(extent: Tensor | None, x: Tensor) -> Tensor | None:
    """Tell which voxels of `x` lie within the extents `(B, 1, …)`; None: all."""
    if extent is None or bool((extent >= torch.tensor(x.shape[2:], device=extent.device)).all()):
        return None
    there = torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool, device=x.device)
    for axis, count in enumerate(x.shape[2:]):
        shape = [1] * (x.ndim - 2)
        shape[axis] = count
        within = torch.arange(count, device=x.device) < extent[:, axis, None]
        there &= within.view(len(x), 1, *shape)
    return there
