"""Places for tumours: a voxel of the organ with enough of the organ around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.tumours.request import DIAMETERS, SPREAD

Mask = NDArray[np.bool_]
Voxel = tuple[int, int, int]

_COARSE_MM = 3.0
"""Depth within an organ is measured on every so many millimetres: a place needs no more, and it takes no time."""
_ROOMY = 0.8
"""A drawn tumour is at most so wide against that ball: half of its volume stays organ."""
_SQUEEZED = 2.0
"""A tumour may be so many times as wide as the largest ball in the organ: it then takes the organ's shape."""


class Depth(NamedTuple):
    """Distance of an organ's voxels from its border, on a coarse grid.

    Attributes:
        values: `(X, Y, Z)` [mm], 0 outside.
        start: Voxel of the whole grid that the first one is.
        step: Voxels of the whole grid between two of it, along each axis.
    """

    values: NDArray[np.float32]
    start: NDArray[np.int64]
    step: NDArray[np.int64]

    @property
    def most(self) -> float:
        """Radius of the largest ball in the organ [mm]."""
        return float(self.values.max(initial=0.0))


def organ_depth(organ: Mask, spacing: Sequence[float]) -> Depth:
    """Return how deep in an organ its voxels lie.

    Args:
        organ: `(X, Y, Z)`.
        spacing: Size of a voxel along each axis [mm].

    Raises:
        ScanweaveError: The organ is empty.
    """
    step = np.maximum(1, np.round(_COARSE_MM / np.asarray(spacing))).astype(int)
    coarse = organ[:: step[0], :: step[1], :: step[2]]
    if not coarse.any():
        step = np.ones(3, dtype=int)
        coarse = organ
    axes = [np.flatnonzero(coarse.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if any(not len(found) for found in axes):
        raise ScanweaveError("organ", "is empty in this scan", "Give a mask in which it is drawn")
    low, high = (np.array([found[end] for found in axes]) for end in (0, -1))
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    around = np.pad(coarse[box], 1)
    values = ndimage.distance_transform_edt(around, sampling=step * np.asarray(spacing))[1:-1, 1:-1, 1:-1]
    return Depth(values.astype(np.float32), low * step, step)


def draw_diameter(rng: Generator, depth: Depth, classes: Sequence[float] = DIAMETERS) -> float:
    """Return a diameter [mm] of one of the classes that fit the organ, each as likely; of none, the most that fits."""
    chance, size = rng.random(), rng.uniform(1 - SPREAD, 1 + SPREAD)
    widest = 2 * _ROOMY * depth.most
    fitting = [one for one in classes if one <= widest]
    if not fitting:
        return min(float(min(classes)), widest) * float(min(size, 1.0))
    return float(fitting[int(chance * len(fitting))] * size)


def draw_centre(rng: Generator, depth: Depth, diameter_mm: float) -> Voxel:
    """Return a voxel with room for a tumour, each as likely; where there is too little, one of the deepest.

    Raises:
        ScanweaveError: The tumour is far larger than the organ.
    """
    refuse_large(depth, diameter_mm)
    room = min(diameter_mm / 2, 0.9 * depth.most)
    places = np.argwhere(depth.values >= room)
    chosen = places[int(rng.random() * len(places))]
    i, j, k = (int(one) for one in depth.start + chosen * depth.step)
    return i, j, k


def refuse_large(depth: Depth, diameter_mm: float) -> None:
    """Refuse a tumour that is far larger than the organ.

    Raises:
        ScanweaveError: It is.
    """
    widest = 2 * depth.most
    if diameter_mm > _SQUEEZED * widest:
        reason = f"{diameter_mm:g} mm is too much for this organ, whose widest place is {widest:.0f} mm across"
        raise ScanweaveError("diameter", reason, f"Give at most {_SQUEEZED * widest:.0f}")


def check_centre(organ: Mask, centre: Voxel) -> None:
    """Refuse a centre that is not in the organ.

    Raises:
        ScanweaveError: It lies outside of the scan or of the organ.
    """
    told = ", ".join(map(str, centre))
    if not all(0 <= at < size for at, size in zip(centre, organ.shape, strict=True)):
        size = " × ".join(map(str, organ.shape))
        raise ScanweaveError("centre", f"voxel {told} lies outside of the scan of {size} voxels", "Give another one")
    if not organ[centre]:
        places = np.argwhere(organ)
        if not len(places):
            raise ScanweaveError("organ", "is empty in this scan", "Give a mask in which it is drawn")
        nearest = places[np.argmin(((places - np.array(centre)) ** 2).sum(axis=1))]
        step = f"Such as voxel {', '.join(map(str, nearest))}, the nearest one in it"
        raise ScanweaveError("centre", f"voxel {told} lies outside of the organ", step)
