"""Every source against every target in one figure: real scans, predictions, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.report.slices import colour_bar, foreground_box, grey_range, letters, placed, shape, show
from scanweave.report.style import DIFFERENCE, INK, SOFT, WASH, WIDTH, styled

Array = NDArray[Any]
Pair = tuple[str, str]


@styled
def synthesis_grid(
    real: Mapping[str, Array],
    predictions: Mapping[Pair, Array],
    spacing: tuple[float, float, float],
    index: int,
    psnr: Mapping[Pair, float] | None = None,
    targets: Sequence[str] | None = None,
    error_limit: float | None = None,
) -> Figure:
    """Draw real targets on top and below them, by source, the prediction and its absolute error.

    A target's real scan and predictions share one grey scale, all errors one colour scale. What was not acquired or
    not predicted is drawn as absent.

    Args:
        real: Real volume `(X, Y, Z)`, RAS, by sequence; absent ones are left out.
        predictions: Predicted volume by `(source, target)`; the source may be any label, such as `"t1 + t2"`.
        spacing: Voxel size [mm].
        index: Axial slice that is shown.
        psnr: PSNR [dB] by `(source, target)`, written on the tile.
        targets: The columns; without it, all sequences that occur, in order of `real` first.
        error_limit: Largest error on the colour scale; without it, the 99.5th percentile of what is shown.

    Raises:
        ScanweaveError: There is no prediction.
    """
    if not predictions:
        raise ScanweaveError("predictions", "there is none", "Give at least one (source, target)")
    sources = list(dict.fromkeys(source for source, _ in predictions))
    targets = list(targets or dict.fromkeys([*real, *(target for _, target in predictions)]))
    slab = (slice(None), slice(None), slice(index, index + 1))
    box = foreground_box([volume[slab] for volume in [*real.values(), *predictions.values()]])
    scans = {name: volume[slab][box] for name, volume in real.items()}
    made = {pair: volume[slab][box] for pair, volume in predictions.items()}
    errors = {(s, t): np.abs(volume - scans[t]) for (s, t), volume in made.items() if t in scans}
    limit = error_limit or max((float(np.percentile(e, 99.5)) for e in errors.values()), default=1.0) or 1.0
    figure, tiles = _tiles(sources, targets, shape(next(iter(made.values())), spacing, "axial"))
    for column, target in enumerate(targets):
        low, high = _grey(scans, made, target)
        grey = {"cmap": "gray", "vmin": low, "vmax": high}
        tiles[0, column].set_title(target, loc="center", pad=6)
        letters(tiles[0 if target in scans else 1, column], "axial")
        _tile(tiles[0, column], scans.get(target), spacing, "not acquired", **grey)
        for row, source in enumerate(sources):
            above, below = tiles[1 + 2 * row : 3 + 2 * row, column]
            pair, blank = (source, target), "" if source == target else "not predicted"
            _tile(above, made.get(pair), spacing, blank, **grey)
            _note(above, (psnr or {}).get(pair))
            why = "no real scan" if pair in made else blank
            _tile(below, errors.get(pair), spacing, why, cmap=DIFFERENCE, vmin=0, vmax=limit)
    over = any(float(error.max()) > limit for error in errors.values())
    colour_bar(figure, tiles[2, -1], 2.0, limit, "absolute error", over)
    return figure


def _tiles(sources: Sequence[str], targets: Sequence[str], height: float) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes `(1 + 2 sources, targets)`: each prediction and its error close together."""
    names = ["real", *(text for source in sources for text in (f"from {source}", "error"))]
    left, right, top, gap = 1.25, 0.95, 0.35, 0.04
    width = min((WIDTH - left - right) / len(targets) - gap, 2.0)
    tall = width * height
    tops = top + np.arange(len(names)) * (tall + gap) + 0.12 * ((np.arange(len(names)) + 1) // 2)
    total = float(tops[-1]) + tall + 0.05
    figure = Figure(figsize=(WIDTH, total))
    columns = range(len(targets))
    tiles = np.array(
        [[placed(figure, left + c * (width + gap), float(y), width, tall) for c in columns] for y in tops], dtype=object
    )
    for tile, name in zip(tiles[:, 0], names, strict=True):
        color, weight = (SOFT, "normal") if name == "error" else (INK, "bold")
        tile.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8, color=color, fontweight=weight)
    return figure, tiles


def _grey(scans: Mapping[str, Array], made: Mapping[Pair, Array], target: str) -> tuple[float, float]:
    shown = [scans[target]] if target in scans else [cut for (_, name), cut in made.items() if name == target]
    return grey_range(shown[0]) if shown else (0.0, 1.0)


def _tile(axes: Axes, cut: Array | None, spacing: tuple[float, float, float], absent: str, **look: Any) -> None:
    """Draw a slice, or hatching and the reason where there is none."""
    if cut is not None:
        show(axes, cut, spacing, "axial", 0, **look)
        return
    axes.set_facecolor(WASH)
    if absent:
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor=WASH, hatch="///", linewidth=0))
        box = {"facecolor": WASH, "edgecolor": "none", "pad": 3}
        axes.text(
            0.5, 0.5, absent, transform=axes.transAxes, ha="center", va="center", color=SOFT, fontsize=8, bbox=box
        )


def _note(axes: Axes, psnr: float | None) -> None:
    if psnr is not None:
        axes.text(0.97, 0.03, f"{psnr:.1f} dB", transform=axes.transAxes, ha="right", color="white", fontsize=8)
