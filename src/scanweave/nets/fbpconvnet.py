"""FBPConvNet: a residual U-Net after filtered backprojection (Jin et al., IEEE Trans. Image Process. 26(9), 2017)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.sizes import padded

SLOPE = 0.1
"""Slope of the leaky rectifier: a rectifier or a leaky one, without biases, leaves a network 1-homogeneous."""


class FbpConvNet(nn.Module):
    """x + U-Net(x): two 3 × 3 convolutions a level, max pooling, bilinear upsampling, skips by concatenation.

    Differs from the paper: no batch normalisation (at small batches it costs the amplitudes that CT measures), leaky
    rectifiers, upsampling in place of transposed convolutions. The last layer is zero at the start, so that training
    begins at the input.

    Args:
        channels_in: Channels of the input, at least `channels_out`.
        channels_out: Channels of the output; the first of the input's are added to it.
        width: Channels at full size; twice as many each level down.
        levels: Sizes that it works at, the full one included.
        bias: Whether convolutions have biases; without them f(s·x) = s·f(x) for s > 0.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int = 32, levels: int = 4, bias: bool = True):
        super().__init__()
        if not 1 <= channels_out <= channels_in or width < 1 or levels < 1:
            raise ScanweaveError(
                "FbpConvNet",
                f"{channels_in} channels in, {channels_out} out, width {width}, {levels} levels",
                "Give positive numbers and no more channels out than in",
            )
        widths = [width * 2**level for level in range(levels)]
        self.channels_out, self.stride = channels_out, 2 ** (levels - 1)
        self.down = nn.ModuleList(_double(a, b, bias) for a, b in zip([channels_in, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(_double(a + b, a, bias) for a, b in pairwise(widths))
        self.last = nn.Conv2d(width, channels_out, 1, bias=bias)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C_in, H, W)` to `(B, C_out, H, W)`, any H and W."""
        rows, columns = x.shape[-2:]
        y, skips = padded(x, self.stride), []
        for number, block in enumerate(self.down):
            y = block(F.max_pool2d(y, 2) if number else y)
            skips.append(y)
        y = skips.pop()
        for block in reversed(self.up):
            y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
            y = block(torch.cat([skips.pop(), y], dim=1))
        made: Tensor = self.last(y)
        return x[:, : self.channels_out] + made[..., :rows, :columns]


def _double(channels_in: int, channels_out: int, bias: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        conv = nn.Conv2d(channels, channels_out, 3, padding=1, bias=bias)
        nn.init.kaiming_normal_(conv.weight, a=SLOPE)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)
