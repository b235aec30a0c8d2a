"""A picture of a prepared study for the eye: each scan in a checkerboard with the reference, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.files import atomic_write
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.preparing.registration import still
from scanweave.studies.preparing.study_preparation import PreparedStudy
from scanweave.studies.scan import Scan

PICTURE_MM = 1.5
"""Edge of a pixel [mm]."""
SQUARE_MM = 24.0
"""Edge of a square of the checkerboard [mm]."""
PLANES = ("sagittal", "coronal", "axial")
Image = NDArray[np.floating]


def write_picture(path: Path, made: PreparedStudy, reference: Scan) -> Path:
    """Write a PNG: a row a pair of scans, three planes as the headers place them, then three as they were placed.

    Squares show the two by turns; where both lie right, edges run on from square to square. The brain mask, if there is
    one, is outlined in the last row.

    Args:
        path: The file.
        made: What was made of the study.
        reference: The reference, as it came.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(made.pairs) + (made.brain is not None or not made.pairs)
    figure = Figure(figsize=(13, 2.3 * rows), layout="constrained", facecolor="black")
    axes = np.atleast_2d(figure.subplots(rows, 6))
    for row, pair in zip(axes, made.pairs, strict=False):
        grid = _grid(pair.onto)
        fixed = _shown(pair.onto, pair.onto.geometry, grid)
        placed = pair.found.transform.move(pair.scan).geometry
        for half, place, words in ((row[:3], pair.scan.geometry, "before"), (row[3:], placed, "after")):
            _draw(half, _checkered(fixed, _shown(pair.scan, place, grid)), f"{pair.moving} on {pair.fixed}, {words}")
    if rows > len(made.pairs):
        grid = _grid(reference)
        brain = None if made.brain is None else resample(made.brain.mask.astype(np.float32), reference.geometry, grid)
        title = f"{made.reference}, {'alone' if brain is None else 'brain'}"
        _draw(axes[-1][:3], _shown(reference, reference.geometry, grid), title, brain)
        for spare in axes[-1][3:]:
            spare.axis("off")
    with atomic_write(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
    return path


def _grid(scan: Scan) -> Geometry:
    return scan.geometry.straightened().oriented("RAS").with_spacing(np.full(3, PICTURE_MM))


def _shown(scan: Scan, place: Geometry, grid: Geometry) -> Image:
    """Return a scan placed by `place` on the grid of the picture, in [0, 1]."""
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
