"""The reliability diagram: what was observed where what was predicted, and of how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure

from scanweave.report.style import COLOURS, LINE, SOFT, WIDTH, named, square, styled
from scanweave.report.values import Estimate


class ReliabilityBin(Protocol):
    """Rows of about the same predicted probability, such as `measures.calibration.Bin`."""

    @property
    def predicted(self) -> float:
        """Mean of what was predicted."""

    @property
    def observed(self) -> Estimate:
        """Share that was positive, with its interval and number of rows."""


@styled
def reliability_diagram(curves: Mapping[str, Sequence[ReliabilityBin]], title: str = "Reliability") -> Figure:
    """Draw observed shares over predicted probabilities, a line a class with its intervals; below how many rows.

    Args:
        curves: Bins of each class from low to high.
        title: Above the diagram.
    """
    figure = Figure(figsize=(WIDTH / 2, 5.1), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[4.5, 1], sharex=True)
    square(above)
    above.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for number, (label, bins) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        predicted = np.array([one.predicted for one in bins])
        observed = np.array([(one.observed.value, one.observed.low, one.observed.high) for one in bins])
        errors = np.abs(observed[:, 1:] - observed[:, :1]).T
        look = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1.2, "elinewidth": 1}
        above.errorbar(predicted, observed[:, 0], errors, label=label, **look)
        shift = (number - (len(curves) - 1) / 2) * 0.012  # bins of several classes stand beside each other
        below.bar(predicted + shift, [one.observed.n for one in bins], width=0.011, color=colour)
    above.set(ylabel="observed share", title=title)
    below.set_box_aspect(0.22)
    below.set(xlabel="predicted probability", ylabel="rows")
    below.grid(axis="y", color=LINE, linewidth=0.7)
    below.set_axisbelow(True)
    below.margins(y=0.15)
    if len(curves) > 1:
        named(above, loc="upper left")
    return figure
