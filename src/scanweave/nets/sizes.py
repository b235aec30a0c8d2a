"""Sizes that networks ask of their input, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def padded(x: Tensor, stride: int | Sequence[int]) -> Tensor:
    """Return `(B, C, [D,] H, W)` with its last planes repeated until `stride` divides every axis.

    Args:
        x: Images or volumes.
        stride: One number, or one an axis.
    """
    sizes = x.shape[2:]
    strides = [stride] * len(sizes) if isinstance(stride, int) else list(stride)
    after = [-size % step for size, step in zip(sizes, strides, strict=True)]
    if not any(after):
        return x
    return F.pad(x, [side for count in reversed(after) for side in (0, count)], mode="replicate")


def fitted(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return `(B, C, [D,] H, W)` with planes cut off or repeated at the end of each axis, so that it has `sizes`."""
    if tuple(x.shape[2:]) == tuple(sizes):
        return x
    for axis, size in enumerate(sizes, start=2):
        x = x.narrow(axis, 0, min(size, x.shape[axis]))
    after = [size - have for size, have in zip(sizes, x.shape[2:], strict=True)]
    return F.pad(x, [side for count in reversed(after) for side in (0, count)], mode="replicate") if any(after) else x


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def window_count(shape: Sequence[int], window: Sequence[int], overlap: float) -> int:
    """Return how many overlapping windows cover an image, as MONAI's sliding window lays them.

    Args:
        shape: Of the image, along each axis.
        window: Of a window.
        overlap: Share of a window that the next one covers too, below 1.
    """
    number = 1
    for size, side in zip(shape, window, strict=True):
        step = max(1, int(side * (1 - overlap))) if side < size else max(size, side)
        number *= max(0, math.ceil((size - side) / step)) + 1
    return number
