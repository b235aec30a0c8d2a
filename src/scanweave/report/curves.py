"""Learning curves from the rows of `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scanweave.errors import ScanweaveError
from scanweave.report.style import ACCENT, LINE, SOFT, WIDTH, styled

MAX_POINTS = 600
"""Points of a line: more cannot be seen and swell the file."""


@styled
def learning_curve(rows: Iterable[Mapping[str, Any]], metrics: Mapping[str, str], of: str = "step") -> Figure:
    """Draw each metric over the steps: training thin and grey, validation in colour with its best point named.

    Args:
        rows: `{"step", "split": "train"|"validation", metric: number, …}`; a row without a metric is passed over.
        metrics: Names of the metrics, one panel each, with `"lower"` or `"higher"` for which is better.
        of: What a step is called.

    Raises:
        ScanweaveError: No row holds any of the metrics.
    """
    rows = list(rows)
    found = {name: _points(rows, name) for name in metrics}
    found = {name: splits for name, splits in found.items() if splits}
    if not found:
        raise ScanweaveError("metrics.jsonl", f"no row holds {', '.join(metrics)}", "Let the run make some steps first")
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure = Figure(figsize=(WIDTH, 2.7 * lines + 0.1), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, (name, splits) in zip(panels, found.items(), strict=False):
        _panel(panel, name, splits, metrics[name], of)
    for panel in panels[len(found) :]:
        panel.remove()
    return figure


def _panel(axes: Axes, name: str, splits: dict[str, np.ndarray], better: str, of: str) -> None:
    axes.set_title(name)
    axes.set_xlabel(of)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if "train" in splits:
        points = splits["train"]
        marker = "" if len(points) > 1 else "o"  # a line of one point cannot be seen
        axes.plot(*points.T, color="#b4bdc3", linewidth=1, label="training", marker=marker, markersize=5)
    if "validation" in splits:
        points = splits["validation"]
        axes.plot(*points.T, color=ACCENT, label="validation", marker="o" if len(points) < 30 else "", markersize=3)
        _mark_best(axes, points, better)
    axes.margins(y=0.12)
    if len(splits) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=SOFT, handlelength=1.4, loc="best")


def _mark_best(axes: Axes, points: np.ndarray, better: str) -> None:
    best = points[points[:, 1].argmin() if better == "lower" else points[:, 1].argmax()]
    axes.plot(*best, "o", color=ACCENT, markersize=6, markerfacecolor="white", markeredgewidth=1.6)
    axes.set_title(
        f"best {best[1]:.3g} at {_short(best[0])}", loc="right", color=ACCENT, fontsize=8.5, fontweight="normal"
    )


def _points(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, np.ndarray]:
    splits = {}
    for split in ("train", "validation"):
        points = [
            (row["step"], row[metric]) for row in rows if row.get("split") == split and row.get(metric) is not None
        ]
        if points:
            splits[split] = _thinned(np.array(sorted(points), dtype=float))
    return splits


def _thinned(points: np.ndarray) -> np.ndarray:
    """Average neighbours until a line has at most `MAX_POINTS`."""
    size = -(-len(points) // MAX_POINTS)
    if size == 1:
        return points
    return np.array([chunk.mean(axis=0) for chunk in np.array_split(points, len(points) // size)])


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
