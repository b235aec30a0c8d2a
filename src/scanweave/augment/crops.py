"""Training crops: anywhere, around the foreground or a label, or inside another crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError

MOST_VOXELS_PER_LABEL = 10_000
"""Voxels of a label that are kept to choose centres from, as in nnU-Net."""

Voxels = NDArray[np.int32]


@dataclass(frozen=True)
class Crop:
    """Hold a box of voxels; it may reach beyond its image.

    Attributes:
        start: First voxel on each axis; negative where the box begins before the image.
        size: Voxels on each axis.
    """

    start: tuple[int, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.start) != len(self.size) or min(self.size, default=0) < 1:
            raise ScanweaveError(
                "crop", f"start {self.start}, size {self.size}", "Give one of each an axis, sizes from 1"
            )

    def read(self, image: Any, fill: float = 0) -> NDArray[Any]:
        """Return the box of an image `(…, *spatial)`, with `fill` beyond it.

        Args:
            image: Anything that slices give an array of, such as an array on disk: no more than the box is read.
            fill: Value of voxels beyond the image.
        """
        axes = len(self.size)
        edges, whole = image.shape[-axes:], [slice(None)] * (image.ndim - axes)
        low = [min(max(first, 0), edge) for first, edge in zip(self.start, edges, strict=True)]
        high = [
            min(max(first + count, a), edge)
            for first, count, a, edge in zip(self.start, self.size, low, edges, strict=True)
        ]
        found = np.asarray(image[(*whole, *map(slice, low, high))])
        if found.shape[-axes:] == self.size:
            return found
        made = np.full((*found.shape[:-axes], *self.size), fill, dtype=found.dtype)
        place = [slice(a - first, b - first) for a, b, first in zip(low, high, self.start, strict=True)]
        made[(*whole, *place)] = found
        return made


def central_crop(shape: Sequence[int], size: Sequence[int]) -> Crop:
    """Return the crop of `size` in the middle of `shape`, around it where that is smaller."""
    return Crop(tuple((edge - count) // 2 for edge, count in zip(shape, size, strict=True)), tuple(size))


def uniform_crop(rng: np.random.Generator, shape: Sequence[int], size: Sequence[int]) -> Crop:
    """Return a crop with every place within `shape` as likely; centred on axes that are not longer than the crop."""
    free = [edge - count for edge, count in zip(shape, size, strict=True)]
    start = tuple(int(rng.integers(room + 1)) if room > 0 else room // 2 for room in free)
    return Crop(start, tuple(size))


def crop_around(centre: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> Crop:
    """Return the crop with `centre` in its middle, moved into `shape` as far as it fits."""
    start = []
    for voxel, edge, count in zip(centre, shape, size, strict=True):
        room = edge - count
        start.append(min(max(int(voxel) - count // 2, 0), room) if room > 0 else room // 2)
    return Crop(tuple(start), tuple(size))


def label_voxels(mask: NDArray[Any], rng: np.random.Generator, most: int = MOST_VOXELS_PER_LABEL) -> dict[int, Voxels]:
    """Return voxels of each label of a mask, for `label_crop`; compact enough to be kept with a cached study.

    Args:
        mask: Labels `(*spatial)`, 0 for background.
        rng: Draws voxels of labels that have more than `most`.
        most: Voxels kept of a label.

    Returns:
        Label to voxels `(N, axes)`, in the order of the labels; absent labels and background are not there.
    """
    found = {}
    for label in np.unique(mask[mask != 0]):
        flat = np.flatnonzero(mask == label)
        if len(flat) > most:
            flat = np.sort(rng.choice(flat, most, replace=False))
        found[int(label)] = np.stack(np.unravel_index(flat, mask.shape), axis=1).astype(np.int32)
    return found


def foreground_crop(
    rng: np.random.Generator, shape: Sequence[int], size: Sequence[int], voxels: Voxels, share: float = 1.0
) -> Crop:
    """Return a crop around a voxel of the foreground with probability `share`, else a uniform one.

    Args:
        rng: Source of chance.
        shape: Voxels of the image.
        size: Voxels of the crop.
        voxels: Foreground `(N, axes)`, each voxel as likely; none: the crop is uniform.
        share: Probability of a crop at the foreground; nnU-Net takes a third.
    """
    wanted = rng.random() < share
    if not wanted or not len(voxels):
        return uniform_crop(rng, shape, size)
    return crop_around(voxels[int(rng.integers(len(voxels)))], shape, size)


def label_crop(
    rng: np.random.Generator,
    shape: Sequence[int],
    size: Sequence[int],
    voxels: Mapping[int, Voxels],
    share: float = 1.0,
    weights: Mapping[int, float] | None = None,
) -> Crop:
    """Return a crop around a voxel of a label: first the label is drawn, then one of its voxels.

    A small structure is then as often in the middle as a large one.

    Args:
        rng: Source of chance.
        shape: Voxels of the image.
        size: Voxels of the crop.
        voxels: Voxels of each label that is there, from `label_voxels`; none: the crop is uniform.
        share: Probability of such a crop, else it is uniform.
        weights: Weight of each label; None: the same for all.
    """
    labels = sorted(label for label, found in voxels.items() if len(found))
    chances = np.array([1.0 if weights is None else weights.get(label, 0.0) for label in labels])
    if not chances.sum():
        return foreground_crop(rng, shape, size, np.zeros((0, len(size)), np.int32), share)
    label = labels[int(rng.choice(len(labels), p=chances / chances.sum()))]
    return foreground_crop(rng, shape, size, voxels[label], share)


def nested_crop(rng: np.random.Generator, outer: Crop, size: Sequence[int]) -> Crop:
    """Return a crop of `size` within another, every place as likely.

    Raises:
        ScanweaveError: It is larger than the other.
    """
    if any(inner > count for inner, count in zip(size, outer.size, strict=True)):
        raise ScanweaveError("nested crop", f"size {tuple(size)} in one of {outer.size}", "Give a smaller one")
    within = uniform_crop(rng, outer.size, size)
    return Crop(tuple(a + b for a, b in zip(outer.start, within.start, strict=True)), within.size)


def octants(outer: Crop, parts: int = 2) -> list[Crop]:
    """Return the crops that a crop falls into when each axis is cut in `parts`, the last axis fastest.

    Two parts of three axes are octants, of two axes quadrants.

    Raises:
        ScanweaveError: `parts` does not divide every size.
    """
    if any(count % parts for count in outer.size):
        raise ScanweaveError("octants", f"{parts} parts of size {outer.size}", "Give a size that the parts divide")
    size = tuple(count // parts for count in outer.size)
    return [
        Crop(tuple(first + k * count for first, k, count in zip(outer.start, places, size, strict=True)), size)
        for places in product(range(parts), repeat=len(size))
    ]
