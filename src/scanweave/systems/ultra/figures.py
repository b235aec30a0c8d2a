"""Spectral pictures: bins, material maps, virtual monoenergetic images, profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.physics.spectral.materials import linear_attenuation
from scanweave.report.slices import colour_bar, placed
from scanweave.report.style import ACCENT, DIFFERENCE, INK, SOFT, WIDTH, styled

Array = NDArray[np.floating]

NAMES = {"fbp": "FBP", "ultra": "ULTRA", "truth": "truth"}
GREY = 0.75
"""Share of a bin's range that is white: soft tissue is a light grey."""
COLOURS = (SOFT, ACCENT)
MONO = "mono"
"""Prefix of the names of monoenergetic images."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """One slice in several versions.

    Attributes:
        truth: Bins `(S, H, W)` [1/mm].
        made: The same, by method.
        pixel: Side of a pixel [mm].
    """

    truth: Array
    made: Mapping[str, Array]
    pixel: float


@styled
def spectral_sheet(pictures: Pictures, bins: Sequence[str], spans: Sequence[float]) -> Figure:
    """Draw each bin as it truly is, and below it by each method with its absolute error.

    Args:
        pictures: The slice.
        bins: Names of the bins, the columns.
        spans: Range of each [1/mm].
    """
    names = ["truth", *(text for method in pictures.made for text in (method, f"{method} error"))]
    figure, tiles = _tiles(names, bins, pictures.truth.shape[1] / pictures.truth.shape[2])
    shares = {method: np.abs(bins_ - pictures.truth) for method, bins_ in pictures.made.items()}
    errors = {method: error / np.array(spans)[:, None, None] for method, error in shares.items()}
    limit = float(np.percentile(np.stack(list(errors.values())), 99.5)) or 1.0
    for column, span in enumerate(spans):
        _grey(tiles[0][column], pictures.truth[column], GREY * span)
        for row, (method, image) in enumerate(pictures.made.items()):
            _grey(tiles[1 + 2 * row][column], image[column], GREY * span)
            tiles[2 + 2 * row][column].imshow(errors[method][column], cmap=DIFFERENCE, vmin=0, vmax=limit)
    over = any(float(error.max()) > limit for error in errors.values())
    colour_bar(figure, tiles[2][-1], 1.4, limit, "absolute error, share of the bin's range", over)
    return figure


@styled
def material_sheet(maps: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw material maps and virtual monoenergetic images of each version of a slice, one row a version.

    Args:
        maps: Images by name, by version; the first version, the truth, decides the grey scale of material maps. That of
            monoenergetic images is the attenuation of water.
    """
    versions = list(maps)
    columns = list(maps[versions[0]])
    shape = maps[versions[0]][columns[0]].shape
    whites = [_white(name, maps[versions[0]][name]) for name in columns]
    titles = [f"{name}\n{_scale(name, white)}" for name, white in zip(columns, whites, strict=True)]
    figure, tiles = _tiles(versions, titles, shape[0] / shape[1], lines=2)
    for column, (name, white) in enumerate(zip(columns, whites, strict=True)):
        for row, version in enumerate(versions):
            _grey(tiles[row][column], maps[version][name], white)
    return figure


@styled
def profile_plot(pictures: Pictures, bins: Sequence[str]) -> Figure:
    """Draw the attenuation along the row where the lowest bin's truth varies most, in the first and the last bin."""
    row = int(np.abs(np.diff(pictures.truth[0], axis=1)).sum(axis=1).argmax())
    shown = sorted({0, len(bins) - 1})
    figure = Figure(figsize=(WIDTH, 2.6 * len(shown)), layout="constrained")
    for axes, number in zip(np.atleast_1d(figure.subplots(len(shown), 1)), shown, strict=True):
        x = np.arange(pictures.truth.shape[2]) * pictures.pixel
        axes.plot(x, pictures.truth[number, row], color=INK, linewidth=1.0, label=NAMES["truth"])
        for (method, image), colour in zip(pictures.made.items(), COLOURS, strict=False):
            width = 0.8 if method == "fbp" else 1.4
            axes.plot(x, image[number, row], color=colour, linewidth=width, label=NAMES.get(method, method))
        axes.set_title(bins[number])
        axes.set_xlabel("x [mm]")
        axes.set_ylabel("attenuation [1/mm]")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _grey(axes: Axes, image: Array, white: float) -> None:
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=white)


def _white(name: str, real: Array) -> float:
    if name.startswith(MONO):
        return GREY * 2 * float(linear_attenuation("water", float(name.removeprefix(MONO))))
    return max(float(np.percentile(real, 99.9)), 1e-6)  # inserts fill few pixels


def _scale(name: str, white: float) -> str:
    if name.startswith(MONO):
        return f"{white:.2g} /mm"
    return f"{white:.2g} g/cm³" if white >= 0.1 else f"{1000 * white:.2g} mg/cm³"


def _tiles(
    rows: Sequence[str], columns: Sequence[str], ratio: float, lines: int = 1
) -> tuple[Figure, list[list[Axes]]]:
    left, right, top, gap = 1.0, 0.95, 0.15 + 0.17 * lines, 0.04
    width = min((WIDTH - left - right) / len(columns) - gap, 2.0)
    tall = width * ratio
    figure = Figure(figsize=(WIDTH, top + len(rows) * (tall + gap) + 0.05))
    tiles = [
        [placed(figure, left + c * (width + gap), top + r * (tall + gap), width, tall) for c in range(len(columns))]
        for r in range(len(rows))
    ]
    for axes, name in zip(tiles[0], columns, strict=True):
        axes.set_title(name, loc="center", pad=5, fontsize=10 if lines == 1 else 8.5)
    for line, name in zip(tiles, rows, strict=True):
        words = " ".join(NAMES.get(word, word) for word in name.split())
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", labelpad=6, color=INK)
    return figure, tiles
