"""Looks of the real tumours of the training studies: how dark they are against their organ, and how large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from scanweave.engine.saved_plan import SavedPlan
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.tumours.shapes import diameter_of
from scanweave.wording import count

FILE = "looks.json"
_RING_MM = 10.0
"""Organ within this distance of a tumour is what it is compared with [mm]."""
_LEAST_VOXELS = 4
_MOST = 200
"""Tumours that are kept, at most."""
_TOUCHING = np.ones((3, 3, 3))


class Looks(SavedPlan):
    """Tumours that somebody drew in the training studies; saved as `looks.json`.

    Attributes:
        contrasts: Mean inside less that of the organ around, of each [HU].
        diameters: Of the ball of each one's volume [mm].
        reasons: What was found, in a line.
    """

    contrasts: tuple[float, ...] = Field(())
    diameters: tuple[float, ...] = Field(())
    reasons: tuple[str, ...] = ()


class RealTumour(NamedTuple):
    """Hold a real tumour in a box.

    Attributes:
        study: Whose it is.
        box: Where, in the prepared grid.
        mask: Its voxels.
        contrast: Mean inside less that of the organ around, as prepared.
    """

    study: CachedStudy
    box: tuple[slice, slice, slice]
    mask: NDArray[np.bool_]
    contrast: float


def real_tumours(
    studies: Sequence[CachedStudy], scan: str, tumour: str, organ: str, organs: Sequence[int], mm: Sequence[float]
) -> Iterator[RealTumour]:
    """Yield the tumours of studies that have both masks.

    Args:
        studies: Prepared ones.
        scan: Name of the scan.
        tumour: Mask of the tumours.
        organ: Mask of the organs, of which
        organs: these numbers are meant; none: all.
        mm: Size of a voxel along each axis [mm].
    """
    margin = np.ceil(_RING_MM / np.asarray(mm)).astype(int)
    for study in studies:
        if tumour not in study.masks or scan not in study.names:
            continue
        labels = np.asarray(study.mask(tumour)[:]) != 0
        pieces, _ = ndimage.label(labels, _TOUCHING)
        inside = organ_voxels(study, organ, organs)
        for number, found in enumerate(ndimage.find_objects(pieces), start=1):
            x, y, z = (
                slice(max(0, side.start - by), min(size, side.stop + by))
                for side, by, size in zip(found, margin, labels.shape, strict=True)
            )
            box = (x, y, z)
            mask = pieces[box] == number
            if mask.sum() < _LEAST_VOXELS:
                continue
            near = ndimage.distance_transform_edt(~mask, sampling=mm) <= _RING_MM
            ring = near & inside[box] & ~labels[box]
            values = np.asarray(study.volume(scan)[box])
            if ring.sum() >= _LEAST_VOXELS:
                yield RealTumour(study, box, mask, float(np.nanmean(values[mask]) - np.nanmean(values[ring])))


def organ_voxels(study: CachedStudy, organ: str, organs: Sequence[int]) -> NDArray[np.bool_]:
    """Return where the organ of a prepared study is; nowhere if it has no such mask."""
    if organ not in study.masks:
        return np.zeros(study.shape, dtype=bool)
    labels: NDArray[Any] = np.asarray(study.mask(organ)[:])
    return np.asarray(np.isin(labels, list(organs)) if organs else labels != 0)


def learn_looks(found: Sequence[RealTumour], mm: Sequence[float], unit: float) -> Looks:
    """Return what real tumours look like.

    Args:
        found: Those of the training studies.
        mm: Size of a voxel along each axis [mm].
        unit: What 1 HU is as prepared.
    """
    kept = found[:_MOST]
    contrasts = tuple(round(one.contrast / unit, 3) for one in kept)
    diameters = tuple(round(diameter_of(int(one.mask.sum()), mm), 2) for one in kept)
    if not kept:
        return Looks(reasons=("tumours: none is drawn in the training studies",))
    low, middle, high = np.quantile(contrasts, (0.1, 0.5, 0.9))
    words = (
        f"tumours: {count(len(kept), 'real one')} of {min(diameters):.0f} to {max(diameters):.0f} mm, "
        f"contrast {middle:.1f} ({low:.1f} to {high:.1f}) against the organ around"
    )
    return Looks(contrasts=contrasts, diameters=diameters, reasons=(words,))
