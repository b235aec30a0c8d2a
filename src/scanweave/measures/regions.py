"""The regions of a volume over which a measure is averaged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.preparing.foreground import bounding_box

BoolArray = NDArray[np.bool_]


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
