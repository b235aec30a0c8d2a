"""The ROC curve: sensitivity against false alarms, over all thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from scanweave.errors import ScanweaveError
from scanweave.report.style import COLOURS, INK, SOFT, WIDTH, named, square, styled
from scanweave.report.values import Estimate

Array = NDArray[Any]


@styled
def roc_plot(
    curves: Mapping[str, tuple[Array, Array]],
    areas: Mapping[str, Estimate] | None = None,
    thresholds: Mapping[str, float] | None = None,
    title: str = "ROC",
) -> Figure:
    """Draw ROC curves of outcomes or models.

    Args:
        curves: Of each name the outcome `(N,)`, true or false, and the score `(N,)`, high for positive.
        areas: AUROC of each name, written beside it with its interval.
        thresholds: Score from which each name is called positive; marked by a ring.
        title: Above the curves.

    Raises:
        ScanweaveError: All rows of a curve are of one class.
    """
    figure = Figure(figsize=(WIDTH / 2, 4.5), layout="constrained")
    axes = figure.subplots()
    square(axes)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for number, (name, (positive, scores)) in enumerate(curves.items()):
        truth, values = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
        if truth.all() or not truth.any():
            raise ScanweaveError(name, "all its rows are of one class", "Leave its curve out")
        false, right, _ = roc_curve(truth, values)
        colour = COLOURS[number % len(COLOURS)]
        area = (areas or {}).get(name)
        axes.plot(false, right, color=colour, label=name if area is None else f"{name}: {_area(area)}", zorder=3)
        if name in (thresholds or {}):
            called = values >= (thresholds or {})[name]
            ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.8, "zorder": 4}
            axes.plot(called[~truth].mean(), called[truth].mean(), "o", color=colour, **ring)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title=title)
    named(
        axes, loc="lower right", labelcolor=INK, title="AUROC with 95 % interval" if areas else None, title_fontsize=8
    )
    return figure


def _area(area: Estimate) -> str:
    if np.isnan(area.low):
        return f"{area.value:.3f}"
    return f"{area.value:.3f} [{area.low:.3f}, {area.high:.3f}]"
