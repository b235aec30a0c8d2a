"""Pictures of where a network looked: a film beside its map, or a volume and its map in three planes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.report.maps import map_overlay
from scanweave.report.slices import grey_range, placed
from scanweave.report.style import DIFFERENCE, INK, SOFT, WIDTH, bare, styled

Array = NDArray[Any]
FILM_INCHES = 3.4
"""Largest height of a film."""
WORDS_A_ROW = 4
"""Pictures beside each other of a film and its words."""
GAP, TOP, LEFT, BAR = 0.08, 0.32, 0.05, 0.12
"""Between pictures, above them, to their left, and the width of the colour bar [inches]."""


def attention_overlay(anatomy: Array, values: Array, spacing: tuple[float, float, float], label: str) -> Figure:
    """Draw an image and its map on a colour scale of its own, from 0 to its largest value.

    The map stands beside the image, not blended over it: blending would change the colours that its bar explains.

    Args:
        anatomy: Volume `(X, Y, Z)` or film with one axis of one voxel, X from left to right and Y from top to bottom.
        values: Map of the same shape, at least 0.
        spacing: Size of a voxel along each axis [mm].
        label: Name of the map.
    """
    limit = float(values.max()) or 1.0
    if 1 not in anatomy.shape:
        return map_overlay(anatomy, values, spacing, label, limit)
    thin = anatomy.shape.index(1)
    sizes = [size for axis, size in enumerate(spacing) if axis != thin]
    return _film(anatomy.take(0, axis=thin), values.take(0, axis=thin), sizes[1] / sizes[0], label, limit)


@styled
def word_grid(film: Array, maps: Mapping[str, Array], aspect: float) -> Figure:
    """Draw a film, and beside it a map for each word, all maps on one colour scale from 0 to the largest value.

    Args:
        film: `(X, Y)`, X from left to right and Y from top to bottom.
        maps: By word, each of the same shape, at least 0.
        aspect: Height of a pixel over its width.
    """
    columns = min(WORDS_A_ROW, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    wide = (WIDTH - 2 * LEFT - (columns - 1) * GAP) / columns
    tall = wide * film.shape[1] * aspect / film.shape[0]
    figure = Figure(figsize=(WIDTH, rows * (tall + TOP) + 0.1))
    low, high = grey_range(film)
    limit = max((float(one.max()) for one in maps.values()), default=1.0) or 1.0
    grey: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high}
    colour: dict[str, Any] = {"cmap": DIFFERENCE, "vmin": 0, "vmax": limit}
    tiles = [("image", film, grey), *((word, one, colour) for word, one in maps.items())]
    for number, (title, picture, look) in enumerate(tiles):
        row, column = divmod(number, columns)
        axes = placed(figure, LEFT + column * (wide + GAP), TOP + row * (tall + TOP), wide, tall)
        bare(axes)
        axes.imshow(picture.T, aspect=aspect, **look)
        axes.set_title(title, loc="center", fontweight="normal", color=SOFT, fontsize=9, pad=4)
    return figure


@styled
def _film(anatomy: Array, values: Array, aspect: float, label: str, limit: float) -> Figure:
    ratio = anatomy.shape[1] * aspect / anatomy.shape[0]
    tall = min(FILM_INCHES, (WIDTH - 1.4) / 2 * ratio)
    wide = tall / ratio
    figure = Figure(figsize=(2 * wide + GAP + BAR + 1.0, tall + TOP + 0.1))
    low, high = grey_range(anatomy)
    looks: list[tuple[Array, dict[str, Any]]] = [
        (anatomy, {"cmap": "gray", "vmin": low, "vmax": high}),
        (values, {"cmap": DIFFERENCE, "vmin": 0, "vmax": limit}),
    ]
    for number, ((picture, look), title) in enumerate(zip(looks, ("image", label), strict=True)):
        axes = placed(figure, LEFT + number * (wide + GAP), TOP, wide, tall)
        bare(axes)
        image = axes.imshow(picture.T, aspect=aspect, **look)
        axes.set_title(title, loc="center", fontweight="normal", color=SOFT, fontsize=9, pad=5)
    bar = figure.colorbar(image, cax=placed(figure, LEFT + 2 * wide + 2 * GAP, TOP, BAR, tall))
    bar.set_ticks([0, limit], labels=["0", "most"])
    bar.ax.tick_params(labelcolor=INK, length=0)
    bar.outline.set_visible(False)
    return figure
