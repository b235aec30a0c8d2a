"""Convolutions, then a transformer, on the visible blocks of a volume alone (Gao et al., ConvMAE, NeurIPS 2022).

Features are kept with their channels last, `(…, voxels along each axis, C)`: of a whole volume `(B, D, H, W, C)`, of
its visible blocks `(B, N, b, b, b, C)`, where a block is what one token of the transformer covers. All that a block's
voxels know of other blocks comes through the depthwise convolutions, in which hidden blocks are 0. So nothing of a
hidden block reaches a visible one, and what acts on single voxels, most of the work, is done for visible blocks alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.layers import check_dimensions
from scanweave.nets.positions import grid_positions

WIDTHS, DEPTHS, HEADS, KERNEL = (48, 96, 192, 384), (2, 2, 2, 11), 12, 5
"""As in MiM (Zhuang et al., TMI 2025; arXiv 2404.15580)."""
Fusion = Literal["pooled", "convolution"]
Convolve = Callable[[Tensor, nn.Module], Tensor]
"""Applies a depthwise convolution to features `(…, C)` where they lie in the volume."""
_KINDS = {2: nn.Conv2d, 3: nn.Conv3d}


class HybridEncoder(nn.Module):
    """Run stages of convolutions, each at half the size of the one before it, then a transformer on blocks.

    Args:
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        widths: Channels of each stage, the last one the transformer's; a block has 2 ** stages voxels an axis.
        depths: Blocks of layers of each stage.
        heads: Heads of attention.
        kernel: Of the depthwise convolutions, odd.
        fusion: How the stages before the transformer are added to its output: `convolution` has a kernel as large as a
            block, as published (28 % of the encoder's parameters); `pooled` takes the mean of a block first.

    Raises:
        ScanweaveError: The numbers of stages differ, or heads do not divide the last width.
    """

    def __init__(
        self,
        channels_in: int,
        dimensions: int,
        widths: Sequence[int] = WIDTHS,
        depths: Sequence[int] = DEPTHS,
        heads: int = HEADS,
        kernel: int = KERNEL,
        fusion: Fusion = "pooled",
    ) -> None:
        super().__init__()
        check_dimensions(dimensions, "hybrid encoder")
        if len(widths) != len(depths) or len(widths) < 2 or widths[-1] % heads or kernel % 2 == 0:
            raise ScanweaveError(
                "hybrid encoder",
                f"widths {tuple(widths)}, depths {tuple(depths)}, {heads} heads, kernel {kernel}",
                "Give two stages or more, a width and depth each, heads that divide the last width, an odd kernel",
            )
        self.dimensions, self.channels = dimensions, tuple(widths)
        self.strides = tuple((2 ** (k + 1),) * dimensions for k in range(len(widths)))
        self.block = 2 ** len(widths)
        self.halvings = nn.ModuleList(Halving(dimensions, a, b) for a, b in pairwise((channels_in, *widths)))
        self.stages = nn.ModuleList(
            Stage(dimensions, width, depth, kernel) for width, depth in zip(widths[:-1], depths[:-1], strict=True)
        )
        width = widths[-1]
        self.embed = nn.Linear(width, width)
        self.layers = nn.ModuleList(transformer_layer(width, heads) for _ in range(depths[-1]))
        self.fusions = nn.ModuleList(
            Fuse(before, width, (self.block // stride[0]) ** dimensions, fusion)
            for before, stride in zip(widths[:-1], self.strides[:-1], strict=True)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to the outputs of all stages, fine to coarse; beyond its end the input is 0."""
        sizes = x.shape[2:]
        after = [-size % self.block for size in sizes]
        x = F.pad(x, [side for count in reversed(after) for side in (0, count)]) if any(after) else x
        grid = tuple(size // self.block for size in x.shape[2:])
        whole = x.movedim(1, -1)
        features = self._stages(whole, _convolved)
        tokens = self.halvings[-1](features[-1])
        last = self._transformed(tokens.flatten(1, -2), self._positions(grid, x)[None])
        parts = [blocks_of(one, grid) for one in features]
        last = self._fused(last, parts)
        made = [one.movedim(-1, 1) for one in features] + [last.view(len(x), *grid, -1).movedim(-1, 1)]
        return [_cut(one, sizes, steps) for one, steps in zip(made, self.strides, strict=True)]

    def visible_tokens(self, x: Tensor, visible: Tensor) -> Tensor:
        """Return the features of visible blocks `(B, N, D)`, of which hidden ones are no part.

        Args:
            x: `(B, C, [D,] H, W)`, in whole blocks.
            visible: Numbers of the visible blocks of each volume `(B, N)`, the last axis of their grid fastest.
        """
        grid = tuple(size // self.block for size in x.shape[2:])
        blocks = taken(blocks_of(x.movedim(1, -1), grid), visible)

        def convolve(part: Tensor, convolution: nn.Module) -> Tensor:
            return taken(
                blocks_of(_convolved(whole_of(spread(part, visible, prod(grid)), grid), convolution), grid), visible
            )

        features = self._stages(blocks, convolve)
        tokens = self.halvings[-1](features[-1]).flatten(2)
        return self._fused(self._transformed(tokens, self._positions(grid, x)[visible]), features)

    def _stages(self, x: Tensor, convolve: Convolve) -> list[Tensor]:
        """Return the output of every stage of convolutions."""
        features = []
        for halve, stage in zip(self.halvings, self.stages, strict=False):
            x = stage(halve(x), convolve)
            features.append(x)
        return features

    def _transformed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        tokens = self.embed(tokens) + positions
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens

    def _fused(self, tokens: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Add the stages of convolutions, blocks `(B, N, b, …, C)`, to tokens `(B, N, D)`."""
        for fuse, feature in zip(self.fusions, features, strict=True):
            tokens = tokens + fuse(feature)
        return self.norm(tokens)

    def _positions(self, grid: Sequence[int], x: Tensor) -> Tensor:
        return grid_positions(grid, self.channels[-1]).to(x)


class Halving(nn.Module):
    """Make of 2 voxels an axis one: a convolution of that kernel and stride, norm over channels, GELU.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels before, and
        channels_out: after.
    """

    def __init__(self, dimensions: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = _KINDS[dimensions](channels_in, channels_out, kernel_size=2, stride=2)
        self.norm = nn.LayerNorm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(…, voxels along each axis, C)` to half as many along each."""
        weight = self.convolution.weight
        axes = weight.ndim - 2
        joined = _neighbours(x, axes)
        made = F.linear(joined, weight.movedim(1, -1).flatten(1), self.convolution.bias)
        return F.gelu(self.norm(made))


class ConvolutionBlock(nn.Module):
    """Mix neighbours by a depthwise convolution, then channels by two layers, each beside a shortcut.

    Args:
        dimensions: 2 or 3.
        width: Channels.
        kernel: Of the depthwise convolution.
    """

    def __init__(self, dimensions: int, width: int, kernel: int) -> None:
        super().__init__()
        self.norm_before, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.depthwise = _KINDS[dimensions](width, width, kernel_size=kernel, padding=kernel // 2, groups=width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, convolve: Convolve) -> Tensor:
        """Map `(…, C)` to the same; `convolve` says where the voxels lie."""
        x = x + self.out(convolve(self.into(self.norm_before(x)), self.depthwise))
        return x + self.narrow(F.gelu(self.wide(self.norm_after(x))))


class Stage(nn.Module):
    """Run blocks of convolutions one after the other.

    Args:
        dimensions: 2 or 3.
        width: Channels.
        depth: Blocks.
        kernel: Of their depthwise convolutions.
    """

    def __init__(self, dimensions: int, width: int, depth: int, kernel: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvolutionBlock(dimensions, width, kernel) for _ in range(depth))

    def forward(self, x: Tensor, convolve: Convolve) -> Tensor:
        """Map `(…, C)` to the same; `convolve` says where the voxels lie."""
        for block in self.blocks:
            x = block(x, convolve)
        return x


class Fuse(nn.Module):
    """Map the voxels of each block to one token.

    Args:
        channels: Of a voxel.
        width: Of a token.
        voxels: Of a block.
        fusion: See `HybridEncoder`.
    """

    def __init__(self, channels: int, width: int, voxels: int, fusion: Fusion) -> None:
        super().__init__()
        self.pools = fusion == "pooled"
        self.linear = nn.Linear(channels if self.pools else channels * voxels, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, N, b, …, C)` to `(B, N, D)`."""
        voxels = x.flatten(2, -2)
        made: Tensor = self.linear(voxels.mean(dim=2) if self.pools else voxels.flatten(2))
        return made


def transformer_layer(width: int, heads: int) -> nn.TransformerEncoderLayer:
    """Return a layer of attention and a network four times as wide, each behind its norm."""
    return nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation=F.gelu, batch_first=True, norm_first=True
    )


def blocks_of(x: Tensor, grid: Sequence[int]) -> Tensor:
    """Return the blocks `(B, T, b, …, C)` of a volume `(B, [D,] H, W, C)`, which has `grid` of them along each axis."""
    axes = len(grid)
    cut = [part for size, count in zip(x.shape[1:-1], grid, strict=True) for part in (count, size // count)]
    x = x.reshape(len(x), *cut, x.shape[-1])
    return x.permute(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1).flatten(1, axes)


def whole_of(blocks: Tensor, grid: Sequence[int]) -> Tensor:
    """Return the volume `(B, [D,] H, W, C)` of all its blocks `(B, T, b, …, C)`."""
    axes = len(grid)
    x = blocks.reshape(len(blocks), *grid, *blocks.shape[2:])
    order = [place for axis in range(1, axes + 1) for place in (axis, axis + axes)]
    x = x.permute(0, *order, 2 * axes + 1)
    sizes = [count * edge for count, edge in zip(grid, blocks.shape[2:-1], strict=True)]
    return x.reshape(len(x), *sizes, x.shape[-1])


def taken(values: Tensor, places: Tensor) -> Tensor:
    """Return those of `values (B, T, …)` that stand at `places (B, N)`."""
    return values[torch.arange(len(values), device=values.device)[:, None], places]


def spread(values: Tensor, places: Tensor, count: int) -> Tensor:
    """Return `(B, count, …)` with `values (B, N, …)` at `places (B, N)`, and 0 elsewhere."""
    made = values.new_zeros(len(values), count, *values.shape[2:])
    rows = torch.arange(len(values), device=values.device)[:, None]
    return made.index_put((rows.expand_as(places), places), values)


def _convolved(x: Tensor, convolution: nn.Module) -> Tensor:
    """Apply a convolution to a volume with its channels last."""
    made: Tensor = convolution(x.movedim(-1, 1))
    return made.movedim(1, -1)


def _cut(feature: Tensor, sizes: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Return the part of a feature that lies in an input of these sizes."""
    for axis, (size, step) in enumerate(zip(sizes, strides, strict=True), start=2):
        feature = feature.narrow(axis, 0, -(-size // step))
    return feature.contiguous()


def _neighbours(x: Tensor, axes: int) -> Tensor:
    """Return `(…, voxels / 2 along each axis, 2 ** axes · C)`: the channels of the voxels that become one."""
    lead, sizes, channels = x.shape[: -axes - 1], x.shape[-axes - 1 : -1], x.shape[-1]
    x = x.reshape(*lead, *(part for size in sizes for part in (size // 2, 2)), channels)
    first = len(lead)
    outer, inner = range(first, first + 2 * axes, 2), range(first + 1, first + 2 * axes, 2)
    return x.permute(*range(first), *outer, *inner, first + 2 * axes).flatten(first + axes)
