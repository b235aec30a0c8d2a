"""A picture of a prepared study for the eye: each scan in a checkerboard with the reference, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.files import atomic_write
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.preparing.registration import orthogonal, still
from scanweave.studies.preparing.study_preparation import PreparedStudy
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

PICTURE_MM = 1.5
"""Edge of a pixel [mm]."""
SQUARE_MM = 24.0
"""Edge of a square of the checkerboard [mm]."""
PLANES = ("sagittal", "coronal", "axial")
Image = NDArray[np.floating]


def write_picture(path: Path, before: Study, made: PreparedStudy) -> Path:
    """Write a PNG: a row a scan, three planes as the headers place it, then three as it was placed.

    Squares show the scan and the reference by turns; where both lie right, edges run on from square to square. The
    brain mask, if there is one, is outlined in the last row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reference = made.reference
    grid = orthogonal(before[reference].geometry).oriented("RAS").with_spacing(np.full(3, PICTURE_MM))
    fixed = _shown(before[reference], before[reference].geometry, grid)
    moving = [name for name in before.scans if name != reference]
    rows = len(moving) + (made.brain is not None or not moving)
    figure = Figure(figsize=(13, 2.3 * rows), layout="constrained", facecolor="black")
    axes = np.atleast_2d(figure.subplots(rows, 6))
    for row, name in zip(axes, moving, strict=False):
        scan = before[name]
        within = made.found[name].transform.move(scan).geometry if name in made.found else scan.geometry
        for half, place, words in ((row[:3], scan.geometry, "before"), (row[3:], within, "after")):
            _draw(half, _checkered(fixed, _shown(scan, place, grid)), f"{name} on {reference}, {words}")
    if rows > len(moving):
        mask = None
        if made.brain is not None:
            inside = made.brain.mask.astype(np.float32)
            mask = resample(inside, before[reference].geometry, grid)
        _draw(axes[-1][:3], fixed, f"{reference}, {'brain' if mask is not None else 'alone'}", mask)
        for spare in axes[-1][3:]:
            spare.axis("off")
    with atomic_write(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
    return path


def _shown(scan: Scan, place: Geometry, grid: Geometry) -> Image:
    """A scan placed by `place` on the grid of the picture, in [0, 1]."""
    volume = resample(still(scan), place, grid)
    low, high = np.percentile(volume, (5, 99.5))
    return np.clip((volume - low) / max(float(high - low), 1e-6), 0, 1)


def _checkered(one: Image, other: Image) -> Image:
    step = max(1, round(SQUARE_MM / PICTURE_MM))
    squares = sum(np.ogrid[tuple(slice(0, size) for size in one.shape)][axis] // step for axis in range(3))
    return np.where(squares % 2 == 0, one, other)


def _draw(axes: Any, volume: Image, title: str, mask: Image | None = None) -> None:
    for axis, (panel, plane) in enumerate(zip(axes, PLANES, strict=True)):
        middle = volume.shape[axis] // 2
        panel.imshow(volume.take(middle, axis).T, cmap="gray", origin="lower", vmin=0, vmax=1)
        if mask is not None and (mask.take(middle, axis) > 0.5).any():
            panel.contour(mask.take(middle, axis).T, levels=[0.5], colors="#ffb000", linewidths=0.8)
        panel.set_title(f"{title} · {plane}" if axis == 0 else plane, color="white", fontsize=7)
        panel.axis("off")
