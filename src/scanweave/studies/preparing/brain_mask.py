"""A brain mask without a learned network: the MNI152 brain fitted to a head, then mended by the scan's own brightness.

The template (MNI152 2009a, Fonov et al., NeuroImage 2011) ships inside nilearn and has no skull, so that mutual
information alone would blow the brain up to the size of the head, whose outside is as black as the template's. So the
search is held to places where the skull still fits round the brain, and to the sizes of human brains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.geometry import FloatArray, Geometry, resample
from scanweave.studies.preparing.foreground import foreground, removed_background
from scanweave.studies.preparing.registration import (
    RegistrationSettings,
    Target,
    clipped,
    descend,
    linear_transform,
    metric_of,
    mutual_information,
    still,
    to_itk,
    working_volume,
)
from scanweave.studies.scan import Scan

Mask = NDArray[np.bool_]

COARSE_MM, FINE_MM, MENDING_MM = 6.0, 3.0, 1.5
"""Working grids of the search, of the descent and of the mending [mm]."""
SHELL_MM = 6.0
"""Rim round the template's brain, skull and fluid, that counts in the metric [mm]."""
SCALES = (0.85, 0.93, 1.0)
"""Sizes of a brain tried, relative to the template, which is larger than most (Lancaster et al., 2007)."""
PITCHES_DEGREES, UP_MM, FORWARD_MM = (-20, -10, 0, 10, 20), (-30, -15, 0, 15, 30), (-15, 0, 15)
"""Nodding of the head, and places of the brain relative to the head's middle, that are tried."""
LEAST_SHELL_IN_HEAD = 0.9
"""Share of the rim that must lie within the head: a brain without a skull round it is none."""
DESCENTS = 2
"""Starts that are followed to their end."""
CORE_MM, REACH_MM = 9.0, 4.0
"""Depth from which the fitted brain is believed as it is, and distance beyond it that mending may add [mm]."""
OPENING_MM, CLOSING_MM = 4.5, 6.0
"""Radii of the ball that parts the brain from its wrappings, and of the one that closes its furrows [mm]."""
DARKEST_PERCENT, BRIGHTEST_PERCENT, BRIGHTER = 2.0, 99.5, 1.05
"""Percentiles of the core's brightness within which a voxel may be brain, and the room above."""
LARGEST_BRAIN_ML, MOST_OF_BORDER = 2200.0, 0.02
"""A scan without background of at most this volume, that reaches as much of the grid's faces, is a brain already."""


@dataclass(frozen=True, eq=False)
class BrainMask:
    """A mask and how it came about.

    Attributes:
        mask: `(X, Y, Z)` on the grid of the scan.
        volume_ml: Its volume [mL].
        why: In words, how it was found.
    """

    mask: Mask
    volume_ml: float
    why: str


def find_brain(name: str, scan: Scan, seed: int = 0) -> BrainMask:
    """Find the brain in a scan of a head; best in T1, fair in FLAIR.

    Args:
        name: What the scan is called, for errors.
        scan: The scan; a series by its mean.
        seed: What the samples of the metric are drawn from.

    Raises:
        ScanweaveError: The template does not fit, or SimpleITK or nilearn is absent.
    """
    volume = still(scan)
    head = foreground(volume)
    millilitres = float(head.sum()) * abs(float(np.linalg.det(scan.geometry.affine[:3, :3]))) / 1000
    if (
        removed_background(volume) is not None
        and millilitres <= LARGEST_BRAIN_ML
        and _on_border(head) <= MOST_OF_BORDER
    ):
        return BrainMask(head, millilitres, "nothing but a brain is in the scan: what is left is taken")
    place = _fit(name, scan, seed)
    mask = _mend(scan, place)
    millilitres = float(mask.sum()) * abs(float(np.linalg.det(scan.geometry.affine[:3, :3]))) / 1000
    scale = float(np.cbrt(np.linalg.det(place[:3, :3])))
    return BrainMask(mask, millilitres, f"the MNI152 brain at {scale:.2f} of its size, mended by brightness")


@lru_cache(maxsize=1)
def _template() -> tuple[NDArray[np.float32], NDArray[np.float32], Geometry]:
    """Return the template's T1, the depth under its brain's surface [mm], negative outside, and its grid."""
    datasets = require("nilearn.datasets", "simulate")
    t1, brain = datasets.load_mni152_template(resolution=1), datasets.load_mni152_brain_mask(resolution=1)
    inside = np.asanyarray(brain.dataobj) > 0
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return np.asanyarray(t1.dataobj, np.float32), depth.astype(np.float32), Geometry.of(t1.shape, t1.affine)


def _target(spacing_mm: float) -> tuple[Target, FloatArray]:
    """Return the template on a working grid, and RAS positions on the outside of its rim."""
    t1, depth, grid = _template()
    working = grid.with_spacing(np.full(3, spacing_mm))
    image, deep = resample(t1, grid, working), resample(depth, grid, working, outside=-100.0)
    counted = deep > -SHELL_MM
    rim = working.positions(np.argwhere(counted & ~ndimage.binary_erosion(counted)))
    inside = working.positions(np.argwhere(deep > 0))
    mask = to_itk(counted.astype(np.uint8), working)
    return Target("the MNI152 template", to_itk(image, working), mask, inside), rim


def _fit(name: str, scan: Scan, seed: int) -> FloatArray:
    """Find where the template lies in a scan: template → scan, RAS mm, a similarity."""
    settings = RegistrationSettings(spacing_mm=FINE_MM, bins=32, sampled_share=0.5, seed=seed)
    volume, grid = working_volume(scan, FINE_MM)
    head, image = foreground(volume), to_itk(clipped(volume), grid)
    target, rim = _target(FINE_MM)
    method = mutual_information(target, settings, pyramid=(2, 1))
    centre = target.inside.mean(axis=0)
    best, most = None, -np.inf
    for start in _starts(scan, settings):
        motion = linear_transform("Similarity3DTransform", start, centre)
        found = descend(method, target, image, motion)
        value = metric_of(target, image, found, settings)
        if value > most and _share_within(head, grid, found, rim) >= LEAST_SHELL_IN_HEAD:
            best, most = found, value
    if best is None:
        reason = "no brain was found in it: the template fits nowhere with a skull round it"
        raise ScanweaveError(name, reason, "Name a T1 of the whole head with --reference, or leave out --brain-mask")
    return best


def _starts(scan: Scan, settings: RegistrationSettings) -> list[FloatArray]:
    """Return the most likely places of the template on a coarse grid, best first."""
    volume, grid = working_volume(scan, COARSE_MM)
    head, image = foreground(volume), to_itk(clipped(volume), grid)
    target, rim = _target(COARSE_MM)
    centre = target.inside.mean(axis=0)
    if not head.any():
        return []
    within = grid.positions(np.argwhere(head))
    middle = (np.percentile(within, 1, axis=0) + np.percentile(within, 99, axis=0)) / 2
    tried: list[tuple[float, FloatArray]] = []
    for scale, pitch, up, forward in product(SCALES, PITCHES_DEGREES, UP_MM, FORWARD_MM):
        place = np.eye(4)
        place[:3, :3] = scale * Rotation.from_euler("x", pitch, degrees=True).as_matrix()
        place[:3, 3] = middle + np.array([0, forward, up]) - place[:3, :3] @ centre
        if _share_within(head, grid, place, rim) >= LEAST_SHELL_IN_HEAD:
            tried.append((metric_of(target, image, place, settings), place))
    return [place for _, place in sorted(tried, key=lambda one: -one[0])[:DESCENTS]]


def _share_within(head: Mask, grid: Geometry, place: FloatArray, points: FloatArray) -> float:
    """Share of the points, moved by `place`, that lie in the head; those outside of the scan do not count."""
    index = np.rint(apply_affine(np.linalg.inv(grid.affine) @ place, points)).astype(int)
    seen = ((index >= 0) & (index < head.shape)).all(axis=1)
    return float(head[tuple(index[seen].T)].mean()) if seen.mean() > 0.5 else 0.0


def _mend(scan: Scan, place: FloatArray) -> Mask:
    """Move the fitted surface to where the scan's brightness says that the brain ends."""
    _, depth, template = _template()
    volume, grid = working_volume(scan, MENDING_MM)
    placed = Geometry.of(template.shape, place @ template.affine)
    deep = np.cbrt(np.linalg.det(place[:3, :3])) * resample(depth, placed, grid, outside=-100.0)
    core, limit = deep > CORE_MM, deep > -REACH_MM
    if not core.any():
        return np.zeros(scan.geometry.shape, dtype=bool)
    low, high = np.percentile(volume[core], (DARKEST_PERCENT, BRIGHTEST_PERCENT))
    brain = ((volume > low) & (volume < high * BRIGHTER) & limit) | core
    brain = ndimage.binary_opening(brain, _ball(OPENING_MM)) | core
    parts, _ = ndimage.label(brain)
    brain = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    room = int(np.ceil(CLOSING_MM / MENDING_MM)) + 1  # closing must not see the end of the grid as black
    brain = ndimage.binary_closing(np.pad(brain, room), _ball(CLOSING_MM))[(slice(room, -room),) * 3]
    brain = ndimage.binary_fill_holes(brain) & limit
    return np.asarray(resample(brain.astype(np.float32), grid, scan.geometry) > 0.5)


def _ball(radius_mm: float) -> Mask:
    reach = int(radius_mm / MENDING_MM) + 1
    offsets = np.mgrid[(slice(-reach, reach + 1),) * 3] * MENDING_MM
    return np.asarray((offsets**2).sum(axis=0) <= radius_mm**2)


def _on_border(mask: Mask) -> float:
    """Share of the voxels on the faces of the grid that are in the mask."""
    faces: list[Any] = [mask.take(end, axis).ravel() for axis in range(3) for end in (0, -1)]
    return float(np.concatenate(faces).mean())
