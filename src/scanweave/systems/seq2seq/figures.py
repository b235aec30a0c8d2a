"""Figures that only Seq2Seq has, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.report.slices import colour_bar, foreground_box, grey_range, letters, outline, placed, shape, show
from scanweave.report.style import ACCENT, DIFFERENCE, INK, SOFT, WASH, WIDTH, styled
from scanweave.systems.seq2seq.synthesis import ALL, MEAN

Array = NDArray[Any]
QUALITY = LinearSegmentedColormap.from_list("quality", ["#f7f9f9", "#cfe3e6", "#8fc3cb", ACCENT])
TITLES = {"psnr": ("PSNR in the {} [dB]", "{:.1f}"), "ssim": ("SSIM in the {}", "{:.2f}")}
LEAST_LOSS = 1.0
"""Loss of PSNR [dB] that is drawn darkest, or the largest where that is more: differences of hundredths stay pale."""
TOGETHER = {ALL: "all others", MEAN: "mean of the others,\nno network"}
"""Kinds of rows below the single sources, and their labels."""


@styled
def quality_matrix(summary: pd.DataFrame, sequences: Sequence[str], where: str = "brain") -> Figure:
    """Draw mean PSNR and SSIM in the brain for every source (rows) and target (columns); higher is darker.

    Args:
        summary: Rows of `evaluation.summarise`.
        sequences: Their order.
        where: What the region `brain` is called: "foreground" where studies have no mask of the brain.
    """
    brain = summary[(summary["region"] == "brain") & (summary["target"] != "any") & (summary["source"] != "any")]
    targets = [name for name in sequences if name in set(brain["target"])]
    sources = [name for name in sequences if name in set(brain["source"])]
    together = {kind: label for kind, label in TOGETHER.items() if kind in set(brain["kind"])}
    height = 0.36 * (len(sources) + len(together))
    figure = Figure(figsize=(WIDTH, height + 1.0), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15)  # type: ignore[union-attr, call-arg]
    for number, (axes, measure) in enumerate(zip(figure.subplots(1, 2), TITLES, strict=True)):
        of_measure = brain[brain["measure"] == measure]
        single = of_measure[~of_measure["kind"].isin(TOGETHER)]
        means = single.pivot_table(index="source", columns="target", values="mean").reindex(sources, columns=targets)
        of_kind = [of_measure[of_measure["kind"] == kind].set_index("target")["mean"] for kind in together]
        _matrix(axes, np.vstack([means, *(row.reindex(targets) for row in of_kind)]), TITLES[measure][1])
        _frame(axes, [*sources, *together.values()], targets, len(together))
        axes.set_title(TITLES[measure][0].format(where))
        if number:
            axes.set_ylabel("")
    return figure


@styled
def contribution_matrix(summary: pd.DataFrame, sequences: Sequence[str]) -> Figure:
    """Draw what every target (columns) loses in PSNR without every source (rows), in dB; a larger loss is darker.

    Args:
        summary: Rows `source, target, measure, mean`, of which the measure `lost` counts.
        sequences: Their order.
    """
    lost = summary[summary["measure"] == "lost"].pivot_table(index="source", columns="target", values="mean")
    sources, targets = ([name for name in sequences if name in set(axis)] for axis in (lost.index, lost.columns))
    figure = Figure(figsize=(WIDTH / 2, 0.36 * len(sources) + 1.0), layout="constrained")
    axes = figure.subplots()
    values = lost.reindex(sources, columns=targets).to_numpy(float)
    _matrix(axes, values, "{:.1f}", (0.0, max(LEAST_LOSS, float(np.nanmax(values, initial=0.0)))))
    _frame(axes, sources, targets, 0)
    return figure


@styled
def differentiation_sheet(
    real: Mapping[str, Array],
    maps: Mapping[str, Array],
    spacing: tuple[float, float, float],
    index: int,
    limit: float,
    lesion: Array | None = None,
) -> Figure:
    """Draw one axial slice of every sequence: the real scan, and below it what no other sequence told of it.

    Args:
        real: Real volume `(X, Y, Z)`, RAS, by sequence.
        maps: Differentiation map, likewise, for some or all of them.
        spacing: Voxel size [mm].
        index: Axial slice.
        limit: Value at the end of the colour scale.
        lesion: Mask whose edge is drawn.
    """
    box = foreground_box(real.values())
    slab = (*box[:2], slice(index, index + 1))
    edge = None if lesion is None else lesion[slab]
    left, right, gap = 0.85, 0.95, 0.05
    ratio = shape(next(iter(real.values()))[slab], spacing, "axial")
    width = min((WIDTH - left - right) / len(maps) - gap, 2.2)
    figure = Figure(figsize=(WIDTH, 2 * width * ratio + gap + 0.4))
    for column, (name, values) in enumerate(maps.items()):
        x = left + column * (width + gap)
        above, below = (placed(figure, x, 0.33 + row * (width * ratio + gap), width, width * ratio) for row in (0, 1))
        low, high = grey_range(real[name][slab])
        show(above, real[name][slab], spacing, "axial", 0, cmap="gray", vmin=low, vmax=high)
        show(below, values[slab], spacing, "axial", 0, cmap=DIFFERENCE, vmin=0, vmax=limit)
        above.set_title(name, loc="center", pad=6)
        letters(above, "axial")
        for axes, text in ((above, "real"), (below, "M_d")):
            if edge is not None:
                outline(axes, edge, "axial", 0)
            if column == 0:
                axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8, color=INK, fontweight="bold")
    over = any(float(np.max(values[slab])) > limit for values in maps.values())
    colour_bar(figure, below, width * ratio, limit, "M_d", over)
    return figure


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean signal of a region over the frames of a series.

    Attributes:
        axis: What tells the frames, such as "time [s]".
        at: Its value at each frame, `(T,)`.
        real: The real signal, `(T,)`.
        made: What was made of it, by source.
    """

    axis: str
    at: Array
    real: Array
    made: dict[str, Array]


@styled
def curve_sheet(curves: Mapping[tuple[str, str], Curves]) -> Figure:
    """Draw the curves of each series (rows) in each region (columns): real, from all others, and from each source.

    Args:
        curves: By series and region.
    """
    rows, columns = (list(dict.fromkeys(place[axis] for place in curves)) for axis in (0, 1))
    figure = Figure(figsize=(WIDTH, 2.3 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for (name, region), axes in zip(product(rows, columns), grid.flat, strict=True):
        if (name, region) not in curves:
            axes.set_visible(False)
            continue
        shown = curves[name, region]
        single = {source: made for source, made in shown.made.items() if source != TOGETHER[ALL]}
        for number, made in enumerate(single.values()):
            axes.plot(shown.at, made, color=SOFT, linewidth=0.7, label=None if number else "from one other")
        if TOGETHER[ALL] in shown.made:
            axes.plot(shown.at, shown.made[TOGETHER[ALL]], color=ACCENT, label="from all others")
        axes.plot(shown.at, shown.real, color=INK, linestyle="--", label="real")
        axes.set_title(f"{name}, {region}")
        axes.set_xlabel(shown.axis)
        axes.set_ylabel("mean signal")
    grid[0, 0].legend(frameon=False)
    return figure


def _matrix(axes: Axes, values: Array, pattern: str, limits: tuple[float, float] | None = None) -> None:
    off = values[~np.isnan(values)]
    low, high = limits or ((float(off.min()), float(off.max())) if off.size else (0.0, 1.0))
    axes.set_facecolor(WASH)
    axes.imshow(values, cmap=QUALITY, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = high > low and (value - low) / (high - low) > 0.7
            text = pattern.format(value)
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else INK)


def _frame(axes: Axes, rows: Sequence[str], columns: Sequence[str], together: int) -> None:
    """Label the rows and columns of a matrix, and part off its last rows, which are no single sources."""
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    if together:
        axes.axhline(len(rows) - together - 0.5, color="white", linewidth=5)
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("target")
    axes.set_ylabel("source")
