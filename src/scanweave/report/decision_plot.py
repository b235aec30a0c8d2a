"""The decision curve: what acting on a probability gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure

from scanweave.report.style import ACCENT, INK, LINE, SOFT, WIDTH, named, styled
from scanweave.report.values import Estimate


class Benefit(Protocol):
    """Net benefit at one threshold, such as `measures.decision_curve.NetBenefit`."""

    @property
    def threshold(self) -> float:
        """Probability from which one acts."""

    @property
    def model(self) -> Estimate:
        """Of acting on the model."""

    @property
    def treat_all(self) -> Estimate:
        """Of acting on all."""


@styled
def decision_plot(points: Sequence[Benefit], label: str) -> Figure:
    """Draw the net benefit of acting on the probability of one class, beside acting on all and on nobody."""
    figure = Figure(figsize=(WIDTH / 2, 3.6), layout="constrained")
    axes = figure.subplots()
    levels = [one.threshold for one in points]
    low, high = ([getattr(p.model, end) for p in points] for end in ("low", "high"))
    axes.fill_between(levels, low, high, color=ACCENT, alpha=0.15, lw=0)
    axes.plot(levels, [p.model.value for p in points], color=ACCENT, label="by the model")
    axes.plot(levels, [p.treat_all.value for p in points], color=SOFT, linewidth=1.2, linestyle="--", label="all")
    axes.axhline(0, color=INK, linewidth=0.8, label="nobody")
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    top = max(p.model.value for p in points)
    axes.set_ylim(min(-0.05, -0.2 * top), 1.2 * max(top, 0.01))
    axes.set(xlabel="threshold of the probability", ylabel="net benefit", title=f"Acting on '{label}'")
    named(axes)
    return figure
