"""Overlapping windows over a whole image, blended by Gaussian weights, as MONAI's inferer lays them. Imports no torch.

MONAI, `sliding_window_inference` and `compute_importance_map` (Cardoso et al. 2022, arXiv 2211.02701): an image that is
smaller than a window is padded on both sides; windows step by a share of their size, the last one moved in; each voxel
is the mean of its windows, weighted by a Gaussian around the centre of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
SIGMA = 0.125
"""Standard deviation of the weights, in sizes of a window."""
LEAST_WEIGHT = 1e-3


def blended(
    image: Image, window: Sequence[int], overlap: float, batch: int, compute: Callable[[Image], Image]
) -> Image:
    """Return what a network makes of an image, window by window.

    Args:
        image: `(C, *spatial)`.
        window: Voxels of a window along each axis.
        overlap: Share of a window that the next one covers too, below 1.
        batch: Windows at once.
        compute: Maps windows `(B, C, *window)` to `(B, K, *window)`.

    Returns:
        `(K, *spatial)`.
    """
    shape = image.shape[1:]
    before = [max(side - size, 0) // 2 for size, side in zip(shape, window, strict=True)]
    after = [max(side - size, 0) - low for size, side, low in zip(shape, window, before, strict=True)]
    padded = np.pad(image, [(0, 0), *zip(before, after, strict=True)])
    weights, places = _weights(window), list(_places(padded.shape[1:], window, overlap))
    total: Image | None = None
    count = np.zeros(padded.shape[1:], np.float32)
    for first in range(0, len(places), batch):
        some = places[first : first + batch]
        made = compute(np.stack([padded[(slice(None), *place)] for place in some]))
        if total is None:
            total = np.zeros((made.shape[1], *padded.shape[1:]), np.float32)
        for place, one in zip(some, made, strict=True):
            total[(slice(None), *place)] += one * weights
            count[place] += weights
    inner = tuple(slice(low, low + size) for low, size in zip(before, shape, strict=True))
    whole = np.zeros((0, *padded.shape[1:]), np.float32) if total is None else total / count
    return np.asarray(whole[(slice(None), *inner)], np.float32)


def mirrored(image: Image, axes: Sequence[int], compute: Callable[[Image], Image]) -> Image:
    """Return the mean over all mirrored views of an image of what is computed of each, mirrored back.

    Args:
        image: `(C, *spatial)`.
        axes: Spatial axes from 0 that are mirrored; none: the image alone.
        compute: Maps `(C, *spatial)` to `(K, *spatial)`.
    """
    views = [*chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1))]
    made: list[Image] = []
    for view in views:
        turned = tuple(axis + 1 for axis in view)
        made.append(np.flip(compute(np.ascontiguousarray(np.flip(image, turned))), turned))
    return np.asarray(np.mean(made, axis=0), np.float32)


def _places(shape: Sequence[int], window: Sequence[int], overlap: float) -> Iterator[tuple[slice, ...]]:
    starts = []
    for size, side in zip(shape, window, strict=True):
        step = side if side == size else max(1, int(side * (1 - overlap)))
        number = math.ceil((size - side) / step) + 1
        starts.append([min(index * step, size - side) for index in range(number)])
    for corner in product(*starts):
        yield tuple(slice(start, start + side) for start, side in zip(corner, window, strict=True))


def _weights(window: Sequence[int]) -> Image:
    lines = []
    for side in window:
        place = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
        lines.append(np.exp(place**2 / np.float32(-2 * (SIGMA * side) ** 2)))
    weights: Image = reduce(np.multiply.outer, lines).astype(np.float32)
    return np.maximum(weights, max(float(weights.min()), LEAST_WEIGHT)).astype(np.float32)
