"""Masks and boxes over the anatomy, the truth beside the prediction.

Volumes are `(X, Y, Z)` in RAS order and shown in three planes as a radiologist looks at them. Films are `(X, Y)` or
`(X, Y, 1)`, X from left to right and Y from top to bottom, and shown as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.report.slices import (
    PLANES,
    Plane,
    foreground_box,
    grey_range,
    letters,
    placed,
    plane,
    show,
    telling_slice,
)
from scanweave.report.style import INK, OVER_GREY, SOFT, WIDTH, styled

Array = NDArray[Any]
TRUTH, PREDICTION = "truth", "prediction"
GAP, TOP, LEFT = 0.05, 0.3, 0.32
"""Between pictures, above them and to their left [inches]."""
LEGEND_INCHES = 0.3
FILM_INCHES = 4.2
"""Largest width of one of two films side by side."""
SCORE_ROOM = 0.05
"""Share of a picture's height that a score takes."""
FILL = 0.2
"""Opacity of a mask's inside."""


class BoxesLike(Protocol):
    """Interface of boxes, as far as they are read here: corners, names of classes, scores of predictions."""

    @property
    def corners(self) -> NDArray[np.float64]:
        """Start and stop of each box along D axes, `(N, 2, D)`."""

    @property
    def labels(self) -> Sequence[str]:
        """Class name of each box."""

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """Scores of predictions `(N,)`; None: truth."""


@dataclass(frozen=True)
class _Layout:
    """Planes of an image, where they are cut, and how large they are drawn."""

    image: Array
    spacing: tuple[float, float, float]
    cuts: dict[Plane, int]
    film: bool
    colours: Array | None = None


@styled
def mask_overlay(
    image: Array,
    spacing: Sequence[float],
    truth: Mapping[str, Array] | None,
    prediction: Mapping[str, Array] | None = None,
    at: tuple[int, int, int] | None = None,
) -> Figure:
    """Draw masks over an image, a colour a structure: outlines with a light filling, truth and prediction apart.

    Args:
        image: Volume `(X, Y, Z)` or film `(X, Y)`, `(X, Y, 1)`.
        spacing: Size of a voxel along each axis [mm]; of a film without a known one `(1, 1)`.
        truth: Mask of each structure, of the image's shape; None: only the prediction is drawn.
        prediction: Likewise; None: only the truth is drawn.
        at: Voxel through which a volume is cut; without it, where the true (else the predicted) masks are largest.

    Raises:
        ScanweaveError: There is neither truth nor prediction, or a mask has another shape than the image.
    """
    sides = {name: masks for name, masks in ((TRUTH, truth), (PREDICTION, prediction)) if masks is not None}
    names = list(dict.fromkeys(name for masks in sides.values() for name in masks))
    solid = {side: {name: _solid(mask) for name, mask in masks.items()} for side, masks in sides.items()}
    volume = _solid(image)
    for masks in solid.values():
        for name, mask in masks.items():
            if mask.shape != volume.shape:
                reason = f"mask of shape {mask.shape} over an image of {volume.shape}"
                raise ScanweaveError(name, reason, "Put both on one grid")
    totals = [np.sum([mask.astype(float) for mask in masks.values()], axis=0) for masks in solid.values() if masks]
    weight: Array = next((total for total in totals if total.any()), np.zeros(volume.shape))
    figure, panels = _panels(_layout(volume, spacing, weight, at), list(sides), names)
    for (side, name, index), axes in panels.items():
        for number, structure in enumerate(names):
            if structure in solid[side]:
                _fill(axes, _cut(solid[side][structure], name, index), OVER_GREY[number % len(OVER_GREY)])
    return figure


@styled
def box_overlay(
    image: Array,
    spacing: Sequence[float],
    truth: BoxesLike | None,
    prediction: BoxesLike | None = None,
    at: tuple[int, int, int] | None = None,
    classes: Sequence[str] = (),
) -> Figure:
    """Draw boxes over an image, a colour a class; predicted ones dashed with their score.

    Args:
        image: Volume `(X, Y, Z)`, film `(X, Y)` or `(X, Y, 1)`, or photograph `(X, Y, 1, 3)`.
        spacing: Size of a voxel along each axis [mm]; of a film without a known one `(1, 1)`.
        truth: Boxes in pixels or voxels, edges as `studies.boxes` counts them: pixel i reaches from i to i + 1.
        prediction: Likewise, with scores.
        at: Voxel through which a volume is cut; without it, the middle of the largest true (else best predicted) box.
        classes: Names in the order of their colours, the same for several pictures; those of this one if not given.

    Raises:
        ScanweaveError: There is neither truth nor prediction.
    """
    sides = {name: boxes for name, boxes in ((TRUTH, truth), (PREDICTION, prediction)) if boxes is not None}
    names = list(dict.fromkeys([*classes, *(label for boxes in sides.values() for label in boxes.labels)]))
    colours = image[:, :, 0] if image.ndim == 4 else None
    volume = _solid(image if colours is None else image.mean(axis=3))
    middle = next((_middle(boxes) for boxes in sides.values() if len(boxes.labels)), None)
    if at is None and middle is not None and volume.shape[2] > 1:
        at = tuple(int(place) for place in np.clip(middle, 0, np.array(volume.shape) - 1))  # type: ignore[assignment]
    layout = replace(_layout(volume, spacing, np.zeros(volume.shape), at), colours=colours)
    figure, panels = _panels(layout, list(sides), names)
    for (side, name, index), axes in panels.items():
        boxes = sides[side]
        for number, (corners, label) in enumerate(zip(boxes.corners, boxes.labels, strict=True)):
            place = _place(corners, name, index, volume.shape)
            if place is not None:
                score = None if boxes.scores is None else float(boxes.scores[number])
                _box(axes, place, OVER_GREY[names.index(label) % len(OVER_GREY)], score)
    return figure


def _solid(array: Array) -> Array:
    """Return a film as a volume of one slice."""
    return array[..., None] if array.ndim == 2 else array


def _layout(volume: Array, spacing: Sequence[float], weight: Array, at: tuple[int, int, int] | None) -> _Layout:
    across, down, *deep = (float(size) for size in spacing)
    sizes = (across, down, deep[0] if deep else 1.0)
    if volume.shape[2] == 1:
        return _Layout(volume, sizes, {"axial": 0}, film=True)
    planes: list[Plane] = ["axial", "coronal", "sagittal"]
    cuts = {name: at[PLANES[name]] if at else telling_slice(weight, name) for name in planes}
    return _Layout(volume, sizes, cuts, film=False)


def _panels(
    layout: _Layout, sides: Sequence[str], names: Sequence[str]
) -> tuple[Figure, dict[tuple[str, Plane, int], Axes]]:
    """Return the figure with the bare image in each panel, and the panels by side, plane and slice.

    The sides of a film stand beside each other, those of a volume below each other.
    """
    if not sides:
        raise ScanweaveError("overlay", "there is neither truth nor prediction", "Give at least one of them")
    volume, low_high = layout.image, grey_range(layout.image)
    box = tuple(slice(0, n) for n in volume.shape) if layout.film else foreground_box([volume])
    spans = {name: _spans(layout, name, box) for name in layout.cuts}  # (left, right, bottom, top) in pixels
    ratios = {name: _ratio(layout, name, spans[name]) for name in spans}
    columns = len(sides) if layout.film else len(spans)
    width = sum(1 / ratio for ratio in ratios.values()) * (columns if layout.film else 1)
    tall = (WIDTH - LEFT - GAP * columns) / width
    if layout.film:
        tall = min(tall, FILM_INCHES * ratios["axial"])
    lines = 1 if layout.film else len(sides)
    wide = LEFT + columns * (tall / ratios["axial"] + GAP) if layout.film else WIDTH
    figure = Figure(figsize=(wide, TOP + lines * (tall + GAP) + LEGEND_INCHES))
    panels: dict[tuple[str, Plane, int], Axes] = {}
    for row, side in enumerate(sides):
        left = LEFT + (row * (tall / ratios["axial"] + GAP) if layout.film else 0)
        for name, index in layout.cuts.items():
            top = TOP + (0 if layout.film else row * (tall + GAP))
            axes = placed(figure, left, top, tall / ratios[name], tall)
            _show(axes, layout, name, index, spans[name], low_high)
            heading = side if layout.film else name if row == 0 else ""
            axes.set_title(heading, loc="center", fontweight="normal", color=SOFT, fontsize=9, pad=5)
            if not layout.film and left == LEFT:
                axes.set_ylabel(side, color=SOFT, fontsize=9, labelpad=4)
            panels[side, name, index] = axes
            left += tall / ratios[name] + GAP
    _legend(figure, names)
    return figure, panels


def _spans(layout: _Layout, name: Plane, box: tuple[slice, ...]) -> tuple[float, float, float, float]:
    """Return the part of a plane's picture that is shown: left, right, bottom and top edge [pixel]."""
    across, up = (axis for axis in range(3) if axis != PLANES[name])
    (a, b), (c, d) = ((box[axis].start, min(box[axis].stop, layout.image.shape[axis])) for axis in (across, up))
    if layout.film:
        return a - 0.5, b - 0.5, d - 0.5, c - 0.5
    wide, high = layout.image.shape[across], layout.image.shape[up]
    return wide - b - 0.5, wide - a - 0.5, high - c - 0.5, high - d - 0.5


def _ratio(layout: _Layout, name: Plane, span: tuple[float, float, float, float]) -> float:
    """Return height over width of what is shown of a plane."""
    across, up = (size for axis, size in enumerate(layout.spacing) if axis != PLANES[name])
    left, right, bottom, top = span
    return (bottom - top) * up / ((right - left) * across)


def _show(
    axes: Axes,
    layout: _Layout,
    name: Plane,
    index: int,
    span: tuple[float, float, float, float],
    low_high: tuple[float, float],
) -> None:
    look: dict[str, Any] = {"cmap": "gray", "vmin": low_high[0], "vmax": low_high[1]}
    aspect = layout.spacing[1] / layout.spacing[0]
    if layout.colours is not None:
        whole = np.iinfo(layout.colours.dtype).max if layout.colours.dtype.kind in "iu" else 1.0
        axes.imshow(np.clip(layout.colours.transpose(1, 0, 2) / whole, 0, 1), aspect=aspect)
    elif layout.film:
        axes.imshow(layout.image[..., 0].T, aspect=aspect, **look)
    else:
        show(axes, layout.image, layout.spacing, name, index, **look)
        letters(axes, name)
    axes.set(xlim=span[:2], ylim=span[2:])


def _cut(mask: Array, name: Plane, index: int) -> Array:
    """Return a slice of a mask as its image is shown."""
    return mask[..., 0].T if mask.shape[2] == 1 else plane(mask, name, index)


def _fill(axes: Axes, cut: Array, colour: str) -> None:
    if not cut.any():
        return
    span = axes.get_xlim(), axes.get_ylim()
    padded = np.pad(cut.astype(float), 1)  # so that an outline closes at the edge of the image
    across, down = (np.arange(-1, size - 1) for size in padded.shape[::-1])
    axes.contourf(across, down, padded, levels=[0.5, 1.5], colors=[colour], alpha=FILL)
    axes.contour(across, down, padded, levels=[0.5], colors=[colour], linewidths=1.1)
    axes.set(xlim=span[0], ylim=span[1])


def _middle(boxes: BoxesLike) -> Array:
    best = np.prod(boxes.corners[:, 1] - boxes.corners[:, 0], axis=1) if boxes.scores is None else boxes.scores
    middle: Array = boxes.corners[int(np.argmax(best))].mean(axis=0)
    return middle


def _place(corners: Array, name: Plane, index: int, shape: tuple[int, ...]) -> tuple[float, float, float, float] | None:
    """Return left, top, width and height of a box in a plane's picture [pixel], or None if the plane misses it."""
    if len(corners[0]) == 2 or shape[2] == 1:
        (a, b), (c, d) = corners[:, 0], corners[:, 1]
        return a - 0.5, c - 0.5, b - a, d - c
    start, stop = corners[:, PLANES[name]]
    if not start <= index + 0.5 <= stop:
        return None
    across, up = (axis for axis in range(3) if axis != PLANES[name])
    (a, b), (c, d) = corners[:, across], corners[:, up]
    return shape[across] - b - 0.5, shape[up] - d - 0.5, b - a, d - c


def _box(axes: Axes, place: tuple[float, float, float, float], colour: str, score: float | None) -> None:
    left, top, width, height = place
    dash = "-" if score is None else (0, (4, 1.5))
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=1.3, linestyle=dash))
    if score is not None:
        upper = axes.get_ylim()[1]
        inside = top - upper < SCORE_ROOM * (axes.get_ylim()[0] - upper)  # no room above the box
        label = {"facecolor": colour, "edgecolor": "none", "pad": 0.9}
        look: dict[str, Any] = {"va": "top" if inside else "bottom", "ha": "left", "clip_on": True, "bbox": label}
        axes.text(left, max(top, upper), f"{score:.2f}", color=INK, fontsize=6.5, **look)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    if not names:
        return
    dark = [withStroke(linewidth=3.4, foreground=SOFT)]  # bright lines on white paper need an edge
    colours = [OVER_GREY[number % len(OVER_GREY)] for number in range(len(names))]
    lines = [Line2D([], [], color=colour, linewidth=2.4, path_effects=dark) for colour in colours]
    place = (LEFT / figure.get_size_inches()[0], 0.0)
    look: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "handlelength": 1.4, "borderaxespad": 0.3}
    figure.legend(lines, list(names), loc="lower left", bbox_to_anchor=place, ncols=min(len(names), 8), **look)
