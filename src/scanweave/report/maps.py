"""A map over the anatomy, in three planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.report.slices import (
    PLANES,
    Plane,
    colour_bar,
    foreground_box,
    grey_range,
    letters,
    outline,
    placed,
    shape,
    show,
    telling_slice,
)
from scanweave.report.style import DIFFERENCE, SOFT, WIDTH, styled

Array = NDArray[Any]


@styled
def map_overlay(
    anatomy: Array,
    values: Array,
    spacing: tuple[float, float, float],
    label: str = "imaging differentiation",
    limit: float = 0.5,
    lesion: Array | None = None,
    at: tuple[int, int, int] | None = None,
) -> Figure:
    """Draw the anatomy and, below it, the map on its own colour scale; the lesion's edge on both.

    The map stands beside the anatomy, not blended over it: blending would change the colours that its bar explains.

    Args:
        anatomy: Volume `(X, Y, Z)`, RAS, such as the real target.
        values: Map `(X, Y, Z)`, such as an imaging-differentiation map.
        spacing: Voxel size [mm].
        label: Name of the map, written at the colour bar.
        limit: Value at the end of the colour scale, 0.5 in the Seq2Seq paper's figures.
        lesion: Mask `(X, Y, Z)` whose edge is drawn.
        at: Voxel through which the planes are cut; without it, where the lesion (or the map) is largest.
    """
    planes: list[Plane] = ["axial", "coronal", "sagittal"]
    weight = values if lesion is None else lesion
    cut = {name: at[PLANES[name]] if at else telling_slice(weight, name) for name in planes}
    box = foreground_box([anatomy])
    anatomy, values, lesion = anatomy[box], values[box], None if lesion is None else lesion[box]
    low, high = grey_range(anatomy)
    gap, left = 0.05, 0.05
    widths = [1 / shape(anatomy, spacing, name) for name in planes]
    tall = (WIDTH - 1.0 - 3 * gap) / sum(widths)
    figure = Figure(figsize=(WIDTH, 2 * tall + gap + 0.33))
    for name, width in zip(planes, widths, strict=True):
        index = cut[name] - box[PLANES[name]].start
        above = placed(figure, left, 0.28, width * tall, tall)
        below = placed(figure, left, 0.28 + tall + gap, width * tall, tall)
        show(above, anatomy, spacing, name, index, cmap="gray", vmin=low, vmax=high)
        show(below, values, spacing, name, index, cmap=DIFFERENCE, vmin=0, vmax=limit)
        above.set_title(name, loc="center", fontweight="normal", color=SOFT, fontsize=9, pad=5)
        for axes in (above, below):
            letters(axes, name)
            if lesion is not None:
                outline(axes, lesion, name, index)
        left += width * tall + gap
    colour_bar(figure, below, tall, limit, label, bool(np.max(values) > limit))
    return figure
