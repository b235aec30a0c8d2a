"""The ULTRA network: multi-branch filters, a dense multi-scale encoder, a correction that starts at nothing.

The full text was not at hand: the parts are those that the abstract names, their arrangement is this project's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.sizes import padded
from scanweave.systems.ultra.config import NetworkSettings

SLOPE = 0.1


class MultiBranch(nn.Module):
    """Filters of three sizes side by side, then a mixture of all: 'multichannel filtering enhancement'."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        third = channels_out // 3
        widths = {1: third, 3: channels_out - 2 * third, 5: third}
        self.branches = nn.ModuleList(_conv(channels_in, width, size) for size, width in widths.items())
        self.mix = _conv(channels_out, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C_in, H, W)` to `(B, C_out, H, W)`."""
        y = torch.cat([branch(x) for branch in self.branches], dim=1)
        return _active(self.mix(_active(y)))


class Filter(nn.Module):
    """A 3 × 3 convolution and its rectifier."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = _conv(channels_in, channels_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C_in, H, W)` to `(B, C_out, H, W)`."""
        return _active(self.conv(x))


class Encoder(nn.Module):
    """Levels ℓ = 0, 1 … at sizes 2^−ℓ; level ℓ reads the one above and, if dense, the input and all before that.

    Args:
        channels: Channels of the input.
        widths: Channels of each level.
        multibranch: Whether levels begin with a `MultiBranch`.
        dense: Whether levels are densely connected.
    """

    def __init__(self, channels: int, widths: list[int], multibranch: bool, dense: bool) -> None:
        super().__init__()
        self.dense = dense
        first = MultiBranch if multibranch else Filter
        self.squeeze = nn.ModuleList(
            nn.ModuleList(_conv(widths[k], max(width // 4, 1), 1) for k in range(level - 1 if dense else 0))
            for level, width in enumerate(widths)
        )
        self.levels = nn.ModuleList()
        for level, width in enumerate(widths):
            inputs = channels if level == 0 else widths[level - 1]
            if dense and level:
                inputs += channels + (level - 1) * max(width // 4, 1)
            self.levels.append(nn.Sequential(first(inputs, width), Filter(width, width)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of each level, `(B, C_ℓ, H/2^ℓ, W/2^ℓ)`."""
        made: list[Tensor] = []
        for level, (block, squeeze) in enumerate(zip(self.levels, self.squeeze, strict=True)):
            seen = [F.max_pool2d(made[-1], 2) if level else x]
            if self.dense and level:
                seen.append(F.avg_pool2d(x, 2**level))
                seen += [
                    conv(F.avg_pool2d(made[k], 2 ** (level - k))) for k, conv in enumerate(cast(nn.ModuleList, squeeze))
                ]
            made.append(block(torch.cat(seen, dim=1)))
        return made


class UltraNet(nn.Module):
    """û = x + R(x) on normalised bins; R is zero at the start, so that training begins at the input.

    Args:
        bins: Energy bins S.
        settings: Sizes and parts.
    """

    def __init__(self, bins: int, settings: NetworkSettings) -> None:
        super().__init__()
        widths = [settings.width * 2**level for level in range(settings.levels)]
        self.residual, self.stride = settings.residual, 2 ** (settings.levels - 1)
        self.encoder = Encoder(bins, widths, settings.multibranch, settings.dense)
        self.up = nn.ModuleList(Filter(b, a) for a, b in pairwise(widths))
        self.join = nn.ModuleList(nn.Sequential(Filter(2 * a, a), Filter(a, a)) for a in widths[:-1])
        self.last = _conv(settings.width, bins, 3)
        if settings.residual:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `(B, S, H, W)`, any H and W, to the same shape."""
        rows, columns = x.shape[-2:]
        *skips, y = self.encoder(padded(x, self.stride))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            y = up(F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False))
            y = join(torch.cat([skips.pop(), y], dim=1))
        made: Tensor = self.last(y)[..., :rows, :columns]
        return x + made if self.residual else made


def _conv(channels_in: int, channels_out: int, size: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, size, padding=size // 2)
    nn.init.kaiming_normal_(conv.weight, a=SLOPE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
