"""The encoder of nnU-Net's plain U-Net (Isensee et al., Nature Methods 18, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.layers import Size, convolution_block, per_axis

FIRST_CHANNELS = 32
MOST_CHANNELS = {2: 512, 3: 320}
"""Channels at which doubling ends, in two and three dimensions, as in nnU-Net."""
DEFAULT_STRIDES = (1, 2, 2, 2, 2)


class PlainEncoder(nn.Module):
    """Run stages of convolution, instance norm, leaky rectifier; each stage begins with its stride.

    Args:
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        strides: Stride of each stage against the one before it, one number or one an axis.
        kernels: Kernel of each stage likewise, odd; one value serves for all.
        widths: Channels of each stage; None: `first_channels`, doubled each stage up to 320 in three dimensions and
            512 in two.
        first_channels: Channels of the first stage.
        convolutions: Convolutions of each stage.

    Raises:
        ScanweaveError: The numbers of stages differ, or a size is below 1.
    """

    def __init__(
        self,
        channels_in: int,
        dimensions: int,
        strides: Sequence[Size] = DEFAULT_STRIDES,
        kernels: Sequence[Size] | int = 3,
        widths: Sequence[int] | None = None,
        first_channels: int = FIRST_CHANNELS,
        convolutions: int = 2,
    ) -> None:
        super().__init__()
        stages = len(strides)
        kernels = [kernels] * stages if isinstance(kernels, int) else kernels
        widths = (
            [min(first_channels * 2**k, MOST_CHANNELS[dimensions]) for k in range(stages)] if widths is None else widths
        )
        if not stages == len(kernels) == len(widths) or stages < 1:
            raise ScanweaveError(
                "plain encoder",
                f"{stages} strides, {len(kernels)} kernels, {len(widths)} widths",
                "Give one of each for every stage",
            )
        steps = [per_axis(stride, dimensions, "strides of the plain encoder") for stride in strides]
        self.dimensions = dimensions
        self.channels = tuple(widths)
        self.strides = tuple(accumulate(steps, lambda a, b: tuple(x * y for x, y in zip(a, b, strict=True))))
        self.kernels = tuple(per_axis(kernel, dimensions, "kernels of the plain encoder") for kernel in kernels)
        self.stages = nn.ModuleList(
            convolution_block(dimensions, before, width, kernel, step, convolutions)
            for before, width, kernel, step in zip(
                (channels_in, *widths[:-1]), widths, self.kernels, steps, strict=True
            )
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to the outputs of all stages, fine to coarse."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
