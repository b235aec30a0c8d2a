"""Weights of another shape made to fit: other input channels, other grids of positions."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

Grids = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens along each axis that the file has, and that are wanted."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POSITIONS = ("pos_embed", "position_embedding", "positional_embedding", "pos_emb")
"""Parts of the names that timm, MONAI, transformers and CLIP give to learnt positions."""
MOST_PREFIX_TOKENS = 5
"""Tokens before the grid at most: a class token, and four registers (Darcet et al., ICLR 2024)."""


def stem_of(network: nn.Module) -> tuple[str | None, int]:
    """Return the name of the first convolution's kernel, and its axes; `(None, 0)` where there is none."""
    for name, module in network.named_modules():
        if isinstance(module, CONVOLUTIONS):
            return f"{name}.weight".lstrip("."), module.weight.ndim - 2
    return None, 0


def with_channels(kernel: Tensor, channels: int) -> Tensor:
    """Return a stem's kernel for another number of input channels.

    Each new channel has the sum over the old ones divided by the new number: what is the same in all channels gives
    the same response as before.

    Args:
        kernel: Of shape `(out, in, …)`.
        channels: The input channels wanted.
    """
    total = kernel.sum(dim=1, keepdim=True) / channels
    return total.expand(-1, channels, *kernel.shape[2:]).contiguous()


def is_positions(name: str) -> bool:
    """Return whether a parameter holds learnt positions, by its name."""
    return any(word in name for word in POSITIONS)


def with_positions(values: Tensor, shape: torch.Size, axes: int, grids: Grids | None) -> Tensor | None:
    """Return learnt positions interpolated to another grid (linear in 3D, bicubic in 2D); None if that is not possible.

    Args:
        values: Of shape `(1, N, C)` or `(N, C)`, class tokens first, or `(1, C, …)` with the grid as axes.
        shape: The shape wanted.
        axes: Axes of the grid, where `grids` does not tell: 2 or 3.
        grids: The two grids where they are no squares or cubes.
    """
    if values.ndim > 3:
        whole = values.ndim == len(shape) and values.shape[:2] == shape[:2] and values.ndim - 2 in (2, 3)
        return _resized(values, shape[2:]) if whole else None
    if values.ndim != len(shape) or values.ndim < 2 or values.shape[-1] != shape[-1] or values.shape[:-2] != shape[:-2]:
        return None
    found = _grids(values.shape[-2], shape[-2], axes, grids)
    if found is None:
        return None
    first, old, new = found
    before, tokens = values[..., :first, :], values[..., first:, :]
    grid = tokens.reshape((*old, values.shape[-1])).movedim(-1, 0).unsqueeze(0)
    made = _resized(grid, new).squeeze(0).movedim(0, -1).reshape(*values.shape[:-2], prod(new), values.shape[-1])
    return torch.cat([before, made], dim=-2)


def _grids(old: int, new: int, axes: int, grids: Grids | None) -> tuple[int, tuple[int, ...], tuple[int, ...]] | None:
    """Return the number of tokens before the grid, and both grids."""
    if grids is not None:
        first = old - prod(grids[0])
        fits = first >= 0 and first == new - prod(grids[1]) and len(grids[0]) == len(grids[1]) in (2, 3)
        return (first, *grids) if fits else None
    if axes not in (2, 3):
        return None
    for first in range(MOST_PREFIX_TOKENS + 1):
        sides = [round(max(0, count - first) ** (1 / axes)) for count in (old, new)]
        if all(side > 0 and side**axes == count - first for side, count in zip(sides, (old, new), strict=True)):
            return first, (sides[0],) * axes, (sides[1],) * axes
    return None


def _resized(grid: Tensor, size: tuple[int, ...]) -> Tensor:
    mode = "bicubic" if len(size) == 2 else "trilinear"
    return functional.interpolate(grid.float(), size=tuple(size), mode=mode, align_corners=False).to(grid.dtype)
