"""A volume or series of which a header told place, times and where its voxels are, as a `Scan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ANEW, HELD_BYTES_PER_VOXEL, check_geometry, check_size, faults_of
from scanweave.studies.formats.voxel_streams import Voxels
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import ONE_FRAME, Scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

LARGEST_VOXEL_MM = 100.0
"""Longest side of a voxel that a scanner makes; above it a declared unit is not the one that was meant."""


@dataclass(frozen=True)
class Volume:
    """One volume or series, as its header describes it.

    Attributes:
        voxels: Where the numbers are.
        shape: Their axes in the order of the file.
        affine: `(4, 4)`, index along the spatial axes, in the order of the file → RAS mm.
        frame_axis: Which axis holds frames; None: the fourth, if there is one.
        times: Start and step of the frames [s]; a step that is not above 0 is none.
        slope: What stored numbers are multiplied by, and
        intercept: what is added then.
    """

    voxels: Voxels
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    frame_axis: int | None = None
    times: tuple[float, float] | None = None
    slope: float = 1.0
    intercept: float = 0.0


def open_volume(about: Volume, notes: Sequence[Finding] = ()) -> Scan:
    """Return the scan that a header describes; its voxels are read on first use.

    Raises:
        ScanweaveError: It is not 3D or 4D, too large, cut short or cannot be placed.
    """
    path, shape = about.voxels.path, about.shape
    turned = about.frame_axis is not None and about.frame_axis < 3 and len(shape) > 3
    if turned and about.frame_axis is not None:
        shape = (*shape[: about.frame_axis], *shape[about.frame_axis + 1 :], shape[about.frame_axis])
    with faults_of(path):
        there = about.voxels.stored
    check_size(
        path, shape, about.voxels.dtype.itemsize, there, 2 * HELD_BYTES_PER_VOXEL if turned else HELD_BYTES_PER_VOXEL
    )
    with faults_of(path):
        length = about.voxels.check()
    geometry = check_geometry(path, Geometry.of(shape, about.affine))
    frames = int(shape[3]) if len(shape) > 3 and shape[3] > 1 else None
    single = (ONE_FRAME,) if len(shape) > 3 and frames is None else ()

    def load() -> NDArray[np.generic]:
        with faults_of(path), np.errstate(all="ignore"):
            values = about.voxels.read()
            if (about.slope, about.intercept) != (1.0, 0.0):
                values *= np.float32(about.slope)
                values += np.float32(about.intercept)
            if turned:
                values = np.moveaxis(values.reshape(about.shape, order="F"), about.frame_axis or 0, -1)
            return np.asfortranarray(values.reshape(geometry.shape if frames is None else shape[:4], order="F"))

    return Scan(geometry, load, frames, frame_times(about.times, frames), path, notes=(*notes, *length, *single))


def frame_times(times: tuple[float, float] | None, frames: int | None) -> NDArray[np.floating] | None:
    """Return the time of each frame [s] from start and step; None where the file tells none."""
    if times is None or not frames or not np.isfinite(times[1]) or times[1] <= 0:
        return None
    return (times[0] if np.isfinite(times[0]) else 0.0) + np.arange(frames) * times[1]


def from_unit(
    path: object, affine: ArrayLike, factor: ArrayLike, declared: str
) -> tuple[NDArray[np.float64], list[Finding]]:
    """Return an affine in millimetres, and a note that it was declared in another unit.

    Args:
        path: The file.
        affine: In the unit of the file.
        factor: Millimetres of that unit, or of that of each axis `(3,)`.
        declared: The unit in words.

    Raises:
        ScanweaveError: Voxels would be larger than any scanner makes.
    """
    factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), 3)
    if (factors == 1).all():
        return np.array(affine, dtype=np.float64), []
    scaled = np.diag([*factors, 1.0]) @ np.asarray(affine, dtype=np.float64)
    longest = float(np.linalg.norm(scaled[:3, :3], axis=0).max())
    if longest > LARGEST_VOXEL_MM:
        raise ScanweaveError(
            str(path),
            f"declares its unit as {declared}, which makes voxels of {longest:.0f} mm",
            "Correct the unit in a copy",
        )
    return scaled, [Finding("units", "repaired", f"its unit is declared as {declared}", "converted to mm")]


def no_position(lacking: str) -> Finding:
    """Return the finding on a header that tells how its axes lie and not where."""
    words = f"its header does not say where it lies (it has no {lacking})"
    return Finding(UNPLACED, "suspect", words, "its first voxel is put at 0, 0, 0: usable alone, or where all agree")


UNPLACED = "unplaced"
"""Kind of the finding on an image whose axes and spacing are known and whose position is not."""


def bad_position(path: object, text: str) -> ScanweaveError:
    """Return the error on a position that is no place."""
    return ScanweaveError(str(path), f"its position is not finite: {text[:60]}", ANEW)
