"""Pictures of masks and reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.report.slices import PLANES, Plane, grey_range, letters, placed, shape, show
from scanweave.report.style import SOFT, WIDTH, styled

Array = NDArray[Any]
TITLES = ("as it is", "what the network saw", "its reconstruction")
GAP, TOP, LEFT = 0.06, 0.3, 0.32
"""Between pictures, above them and to their left [inches]."""
HIDDEN_GREY = 0.35
"""Brightness of what is hidden, as a share of the range."""


@styled
def reconstruction_figure(
    image: Array,
    hidden: Array,
    made: Array,
    spacing: tuple[float, float, float],
    *,
    other: Array | None = None,
    titles: Sequence[str] = TITLES,
) -> Figure:
    """Draw a view, what of it was seen, and the reconstruction of the rest, in the middle of each plane.

    Args:
        image: The view `(X, Y, Z)`, RAS.
        hidden: Which of its voxels were hidden.
        made: The view with the reconstruction in their place.
        spacing: Of its voxels [mm].
        other: The view with another reconstruction in their place; None: there is none.
        titles: Of the columns.
    """
    columns = [image, image.copy(), made, *([] if other is None else [other])]
    low, high = grey_range(image)
    columns[1][hidden] = low + HIDDEN_GREY * (high - low)
    planes: list[Plane] = ["axial", "coronal", "sagittal"]
    wide = (WIDTH - LEFT - 2 * GAP) / len(columns) * 0.8
    heights = [wide * shape(image, spacing, name) for name in planes]
    figure = Figure(figsize=(LEFT + len(columns) * (wide + GAP), TOP + sum(heights) + GAP * len(planes)))
    top = TOP
    for name, tall in zip(planes, heights, strict=True):
        index = image.shape[PLANES[name]] // 2
        for column, (title, part) in enumerate(zip(titles, columns, strict=True)):
            axes = placed(figure, LEFT + column * (wide + GAP), top, wide, tall)
            show(axes, part, spacing, name, index, cmap="gray", vmin=low, vmax=high)
            letters(axes, name)
            if top == TOP:
                axes.set_title(title, loc="left", fontsize=9, fontweight="normal", pad=5)
            if column == 0:
                axes.set_ylabel(name, color=SOFT, fontsize=9)
        top += tall + GAP
    return figure
