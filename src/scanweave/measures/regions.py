"""The regions of a volume over which a measure is averaged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError

BoolArray = NDArray[np.bool_]


def bounding_box(mask: ArrayLike) -> tuple[slice, ...]:
    """Return the smallest box, as slices, that holds every voxel of `mask` `(X, Y, Z)`.

    Raises:
        ScanweaveError: The mask is empty.
    """
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        raise ScanweaveError(
            "mask", "it is empty", "Give a mask with at least one voxel, or none to measure the volume"
        )
    axes = range(mask.ndim)
    profiles = [np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    return tuple(slice(int(hits[0]), int(hits[-1]) + 1) for hits in profiles)


def named_regions(
    shape: tuple[int, ...], mask: ArrayLike | None, also: Mapping[str, ArrayLike] | None = None
) -> dict[str, BoolArray]:
    """Return `brain` (the mask), `box` (its bounding box), `volume` (everything) and the regions of `also`.

    Args:
        shape: `(X, Y, Z)` of the volume.
        mask: Foreground `(X, Y, Z)`; without one, only `volume` and `also` are returned.
        also: Further regions by name, such as `{"lesion": lesion_mask}`.

    Raises:
        ScanweaveError: A region is empty or has another shape than the volume.
    """
    found: dict[str, BoolArray] = {}
    if mask is not None:
        found["brain"] = checked_region("mask", mask, shape)
        found["box"] = np.zeros(shape, dtype=bool)
        found["box"][bounding_box(found["brain"])] = True
    found["volume"] = np.ones(shape, dtype=bool)
    return found | {name: checked_region(name, region, shape) for name, region in (also or {}).items()}


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
