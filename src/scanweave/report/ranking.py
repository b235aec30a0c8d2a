"""Rankings with their doubt: scores with intervals, and the probability of every rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.report.style import ACCENT, INK, LINE, PROBABILITY, SOFT, WIDTH, styled
from scanweave.report.values import Estimate


@dataclass(frozen=True)
class RankedMeasure:
    """One way to rank N sequences.

    Attributes:
        title: Its name, such as `"Generates others (C_t)"`.
        scores: Score and interval of each sequence, higher is better.
        probability: `(N, N)`: row = sequence in the order of `scores`, column = rank − 1; NaN if unknown.
        higher: What a higher score is, such as `"harder to make"`.
    """

    title: str
    scores: Mapping[str, Estimate]
    probability: NDArray[Any]
    higher: str = ""


@styled
def ranking_plot(measures: Sequence[RankedMeasure]) -> Figure:
    """Draw measures side by side, best on top: scores above, and below the rank probabilities if they are known."""
    size = max(len(measure.scores) for measure in measures)
    lines = 2 if any(np.isfinite(measure.probability).any() for measure in measures) else 1
    figure = Figure(figsize=(WIDTH, lines * (0.31 * size + 1.1)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(lines, len(measures), squeeze=False)
    for (dots, *below), measure in zip(panels.T, measures, strict=True):
        order = sorted(measure.scores, key=lambda name: -measure.scores[name].value)
        _dots(dots, measure, order)
        for heat in below:
            _heat(heat, measure, order)
    return figure


def _dots(axes: Axes, measure: RankedMeasure, order: Sequence[str]) -> None:
    axes.set_title(measure.title)
    scores = [measure.scores[name] for name in order]
    places = np.arange(len(order))
    axes.hlines(places, [s.low for s in scores], [s.high for s in scores], color=ACCENT, linewidth=2)
    axes.plot([s.value for s in scores], places, "o", color=ACCENT, markersize=6)
    axes.axvline(0, color=SOFT, linewidth=0.7, zorder=0)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_yticks(places, order)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    unknown = all(np.isnan(score.low) for score in scores)
    sense = f" (higher is {measure.higher})" if measure.higher else ""
    axes.set_xlabel(f"score{sense}" + ("" if unknown else " and 95 % interval"))


def _heat(axes: Axes, measure: RankedMeasure, order: Sequence[str]) -> None:
    names = list(measure.scores)
    share = np.asarray(measure.probability, dtype=float)[[names.index(name) for name in order]]
    axes.imshow(share, cmap=PROBABILITY, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        text = "?" if np.isnan(value) else "" if value < 0.005 else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.5 else INK)
    axes.set_yticks(np.arange(len(order)), order)
    axes.set_xticks(np.arange(len(order)), [str(rank) for rank in range(1, len(order) + 1)])
    axes.set_xticks(np.arange(len(order) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(order) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("probability of each rank")
