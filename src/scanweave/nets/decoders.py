"""Decoders over the features of any encoder: a U-Net's, and a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.encoder_scales import Strides, ratios
from scanweave.nets.layers import Size, convolution, convolution_block, enlargement, per_axis
from scanweave.nets.sizes import fitted


class UNetDecoder(nn.Module):
    """Enlarge coarse features step by step and join each with the encoder's feature of its size.

    A step is a transposed convolution by the ratio of the strides (any, one axis alone too), concatenation with the
    encoder's feature, convolutions (Ronneberger et al. 2015; details as in nnU-Net, Isensee et al. 2021). Where sizes
    do not divide, planes are cut off or repeated at the end of an axis.

    Args:
        channels: Channels of the encoder's features, fine to coarse.
        strides: Their strides, as an `Encoder` has them.
        dimensions: 2 or 3.
        widths: Channels of the decoder's features, one fewer than the encoder's; None: the encoder's own.
        kernels: Kernel of each of them, odd; one value serves for all.
        convolutions: Convolutions of each step.

    Attributes:
        channels: Channels of its features, fine to coarse.
        strides: Their strides.

    Raises:
        ScanweaveError: There are fewer than two features, or the numbers of values differ.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Strides,
        dimensions: int,
        widths: Sequence[int] | None = None,
        kernels: Sequence[Size] | int = 3,
        convolutions: int = 2,
    ) -> None:
        super().__init__()
        steps = len(channels) - 1
        widths = tuple(channels[:-1] if widths is None else widths)
        kernels = [kernels] * steps if isinstance(kernels, int) else kernels
        if steps < 1 or not steps == len(widths) == len(kernels) == len(strides) - 1:
            raise ScanweaveError(
                "U-Net decoder",
                f"{len(channels)} features, {len(strides)} strides, {len(widths)} widths, {len(kernels)} kernels",
                "Give two features or more, a stride each, and one width and kernel for all but the coarsest",
            )
        self.channels, self.strides = widths, tuple(strides[:-1])
        sources = (*widths[1:], channels[-1])
        self.enlargements = nn.ModuleList(
            enlargement(dimensions, coarse, fine, ratio)
            for coarse, fine, ratio in zip(sources, widths, ratios(strides), strict=True)
        )
        self.stages = nn.ModuleList(
            convolution_block(
                dimensions, width + skip, width, per_axis(kernel, dimensions, "kernels of the decoder"), 1, convolutions
            )
            for width, skip, kernel in zip(widths, channels, kernels, strict=False)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map the encoder's features to the decoder's, both fine to coarse; the coarsest of the encoder's has none."""
        x, made = features[-1], []
        for enlarge, stage, skip in zip(
            reversed(self.enlargements), reversed(self.stages), reversed(features[:-1]), strict=True
        ):
            x = stage(torch.cat([fitted(enlarge(x), skip.shape[2:]), skip], dim=1))
            made.append(x)
        return made[::-1]


class FeaturePyramid(nn.Module):
    """Bring all features to one number of channels and add the coarse to the fine (Lin et al., CVPR 2017).

    Args:
        channels: Channels of the encoder's features, fine to coarse.
        strides: Their strides.
        dimensions: 2 or 3.
        width: Channels of every feature that it makes.

    Attributes:
        channels: `width`, once a feature.
        strides: The encoder's.
    """

    def __init__(self, channels: Sequence[int], strides: Strides, dimensions: int, width: int = 256) -> None:
        super().__init__()
        self.channels, self.strides = (width,) * len(channels), tuple(strides)
        self.lateral = nn.ModuleList(convolution(dimensions, count, width, 1, bias=True) for count in channels)
        self.smooth = nn.ModuleList(convolution(dimensions, width, width, 3, bias=True) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features `(B, channels[k], …)` to `(B, width, …)` of the same sizes, fine to coarse."""
        sums = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for k in range(len(sums) - 1, 0, -1):
            sums[k - 1] = sums[k - 1] + F.interpolate(sums[k], size=sums[k - 1].shape[2:], mode="nearest")
        return [smooth(one) for smooth, one in zip(self.smooth, sums, strict=True)]
