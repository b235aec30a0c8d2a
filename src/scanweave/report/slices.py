"""Slices of a volume as a radiologist looks at them.

Volumes are `(X, Y, Z)` in RAS order: X grows towards the patient's right, Y towards the front, Z towards the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from scanweave.report.style import DIFFERENCE, bare
from scanweave.studies.preparing.foreground import removed_background

Plane = Literal["sagittal", "coronal", "axial"]
PLANES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
SIDES: dict[Plane, tuple[str, str]] = {"sagittal": ("A", "P"), "coronal": ("R", "L"), "axial": ("R", "L")}
Array = NDArray[Any]
MOST_BELOW_BACKGROUND_FRACTION = 0.1
"""Largest share of voxels below a background for it to be shown as black."""


def plane(volume: Array, name: Plane, index: int) -> Array:
    """Return one slice `(rows, columns)` as it is shown: front or head on top, the patient's right on the left."""
    return np.take(volume, index, axis=PLANES[name]).T[::-1, ::-1]


def aspect(spacing: tuple[float, float, float], name: Plane) -> float:
    """Return the height of a voxel over its width in a slice, from the spacing `(X, Y, Z)` [mm]."""
    column, row = (size for axis, size in enumerate(spacing) if axis != PLANES[name])
    return row / column


def shape(volume: Array, spacing: tuple[float, float, float], name: Plane) -> float:
    """Return the height of a whole slice over its width."""
    column, row = (
        n * size for axis, (n, size) in enumerate(zip(volume.shape, spacing, strict=True)) if axis != PLANES[name]
    )
    return row / column


def show(
    axes: Axes, volume: Array, spacing: tuple[float, float, float], name: Plane, index: int, **look: Any
) -> AxesImage:
    """Draw one slice with the right aspect and nothing around it; `look` goes to `imshow`."""
    bare(axes)
    return axes.imshow(plane(volume, name, index), aspect=aspect(spacing, name), **look)


def letters(axes: Axes, name: Plane) -> None:
    """Write which side of the patient is where: R and L, or A and P."""
    left, right = SIDES[name]
    for at, letter, side in ((0.03, left, "left"), (0.97, right, "right")):
        axes.text(at, 0.97, letter, transform=axes.transAxes, color="white", fontsize=8, ha=side, va="top", alpha=0.85)


def outline(axes: Axes, mask: Array, name: Plane, index: int, color: str = "#35d0e6") -> None:
    """Draw the edge of a mask in one slice, if it is met there."""
    cut = plane(mask, name, index).astype(float)
    if cut.any():
        axes.contour(cut, levels=[0.5], colors=[color], linewidths=0.9)


def grey_range(volume: Array) -> tuple[float, float]:
    """Return the intensities shown as black and white: the background, and the 99.5th percentile of what is above it.

    The background is the value that was set where it was removed, if few voxels are below it, as after a resampling;
    else the lowest.
    """
    low, removed = float(volume.min()), removed_background(volume)
    if removed is not None and np.count_nonzero(volume < removed) <= MOST_BELOW_BACKGROUND_FRACTION * np.count_nonzero(
        volume > removed
    ):
        low = removed
    above = volume[volume > low]
    return low, float(np.percentile(above, 99.5)) if above.size else low + 1.0


def telling_slice(weight: Array, name: Plane) -> int:
    """Return the slice of a plane where a non-negative weight, such as a lesion or a brain mask, is largest."""
    axis = PLANES[name]
    profile = weight.astype(float).sum(axis=tuple(a for a in range(3) if a != axis))
    return int(profile.argmax()) if profile.any() else weight.shape[axis] // 2


def foreground_box(volumes: Iterable[Array], margin: float = 0.04) -> tuple[slice, ...]:
    """Return the box around whatever is brighter than the background in any of the volumes `(X, Y, Z)`.

    Args:
        volumes: Volumes on one grid.
        margin: What is left around it, as a share of each side.
    """
    volumes = list(volumes)
    ranges = [grey_range(volume) for volume in volumes]
    bright = np.any([v > low + 0.02 * (high - low) for v, (low, high) in zip(volumes, ranges, strict=True)], axis=0)
    if not bright.any():
        return tuple(slice(0, size) for size in bright.shape)
    box = []
    for hits, size in zip(np.nonzero(bright), bright.shape, strict=True):
        rim = round(margin * size)
        box.append(slice(max(int(hits.min()) - rim, 0), int(hits.max()) + 1 + rim))
    return tuple(box)


def placed(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place given in inches from the figure's upper left corner."""
    wide, tall = figure.get_size_inches()
    axes = figure.add_axes((left / wide, 1 - (top + height) / tall, width / wide, height / tall))
    bare(axes)
    return axes


def colour_bar(figure: Figure, beside: Axes, height: float, limit: float, label: str, over: bool) -> None:
    """Draw the scale of differences from 0 to `limit`, `height` inches tall, to the right of some axes.

    Args:
        figure: The figure.
        beside: Axes on whose lower edge the bar stands.
        height: Its height [inches].
        limit: Value at its end.
        label: What it measures.
        over: Whether values above the limit occur; the bar then ends in a point.
    """
    place, (wide, tall) = beside.get_position(), figure.get_size_inches()
    axes = figure.add_axes((place.x1 + 0.12 / wide, place.y0, 0.11 / wide, height / tall))
    scale = ScalarMappable(Normalize(0, limit), DIFFERENCE)
    bar = figure.colorbar(scale, cax=axes, extend="max" if over else "neither")
    bar.set_label(label)
    bar.outline.set_visible(False)
