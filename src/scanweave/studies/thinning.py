"""Every n-th slice of a study: for a first look, in a share of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

SUPERIOR = 2
"""Axis of RAS coordinates along which axial slices are stacked."""


def thinned(study: Study, every: int) -> Study:
    """Return a study of every n-th axial slice of its scans and masks.

    The scan of the thinnest slices sets the pace: one whose slices are thicker already keeps as many as come to the
    same distance. Positions stay true: the affines tell the new distance.

    Args:
        study: Volumes are thinned, films are not.
        every: n; 1 leaves the study as it is.

    Raises:
        ScanweaveError: It has no stack of slices to take some of.
    """
    if every == 1:
        return study
    images = [scan.geometry for scan in study.scans.values() if scan.geometry.is_placed]
    distances = [geometry.spacing[_axial(geometry)] for geometry in images if geometry.shape[_axial(geometry)] > 1]
    if not distances:
        raise ScanweaveError(study.id, "has no stack of slices to take some of", "Leave --slices out")
    step = every * min(distances)

    def thin(scans: Mapping[str, Scan]) -> dict[str, Scan]:
        return {name: _thinned(scan, step) for name, scan in scans.items()}

    return replace(study, scans=thin(study.scans), masks=thin(study.masks))


def _thinned(scan: Scan, distance: float) -> Scan:
    geometry, axis = scan.geometry, _axial(scan.geometry)
    every = max(1, round(distance / geometry.spacing[axis]))
    count = geometry.shape[axis]
    if every == 1 or count <= every or not geometry.is_placed:
        return scan
    first = (count - 1) % every // 2  # as much is left out below as above
    kept = tuple(slice(first, None, every) if place == axis else slice(None) for place in range(3))
    affine = geometry.affine.copy()
    affine[:3, 3] += first * affine[:3, axis]
    affine[:3, axis] *= every
    shape = [len(range(first, count, every)) if place == axis else n for place, n in enumerate(geometry.shape)]
    return replace(scan, geometry=Geometry.of(shape, affine, geometry.space), load=_loader(scan.load, kept))


def _loader(load: Callable[[], NDArray[np.generic]], kept: tuple[slice, ...]) -> Callable[[], NDArray[np.generic]]:
    return lambda: np.ascontiguousarray(load()[kept])


def _axial(geometry: Geometry) -> int:
    """Return the array axis that runs most nearly from feet to head."""
    directions = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    return int(np.argmax(np.abs(directions[SUPERIOR])))
