"""The regions of a volume over which a measure is averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.preparing.foreground import bounding_box

BoolArray = NDArray[np.bool_]
Box = tuple[slice, ...]


def named_regions(mask: ArrayLike) -> dict[str, BoolArray]:
    """Return `brain` (the mask `(X, Y, Z)`), its bounding `box` and the whole `volume`.

    Raises:
        ScanweaveError: The mask is empty.
    """
    brain = np.asarray(mask, dtype=bool)
    brain = checked_region("mask", brain, brain.shape)
    box = np.zeros(brain.shape, dtype=bool)
    box[bounding_box(brain)] = True
    return {"brain": brain, "box": box, "volume": np.ones(brain.shape, dtype=bool)}


def differing_box(one: NDArray[Any], other: NDArray[Any]) -> Box | None:
    """Return the smallest box of voxels outside which two volumes `(X, Y, Z)` are equal; None: they are equal.

    Skull-stripped scans and what is made of them agree in most of a volume, where no map of likeness needs computing.
    """
    different = one != other
    return bounding_box(different) if different.any() else None


def grown(box: Box, reach: int, shape: tuple[int, ...]) -> Box:
    """Return a box with `reach` voxels more on each side, as far as the volume goes."""
    sides = zip(box, shape, strict=True)
    return tuple(slice(max(side.start - reach, 0), min(side.stop + reach, size)) for side, size in sides)


def checked_region(name: str, region: ArrayLike, shape: tuple[int, ...]) -> BoolArray:
    """Return `region` as booleans.

    Raises:
        ScanweaveError: It is empty or its shape is not `shape`.
    """
    region = np.asarray(region, dtype=bool)
    if region.shape != shape:
        raise ScanweaveError(name, f"its shape is {region.shape}, the volume's {shape}", "Put both on the same grid")
    if not region.any():
        raise ScanweaveError(name, "it is empty", "Give a region with at least one voxel, or leave it out")
    return region
