"""A page about one patient: the answer, its own values, what each graph says of it, and who bears weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scanweave.report.style import ACCENT, COLOURS, INK, LINE, SOFT, WIDTH, bare, styled

STEPS = 7
"""Own values that are drawn, the others in one bar."""
LINE_INCHES = 0.27
"""Height of a line of text or a bar [inches]."""


@dataclass(frozen=True)
class Steps:
    """Steps by which a patient's own values lead from the mean answer to its own.

    Attributes:
        start: Mean probability over training patients.
        effects: Value in words and what it adds, the largest first.
        end: The patient's probability.
    """

    start: float
    effects: Sequence[tuple[str, float]]
    end: float

    @property
    def drawn(self) -> list[tuple[str, float]]:
        """The largest ones, and the sum of the others."""
        rest = [effect for _, effect in self.effects[STEPS:]]
        others = [(f"{len(rest)} other values", sum(rest))] if rest else []
        return [*self.effects[:STEPS], *others]


@dataclass(frozen=True)
class GraphLine:
    """Answer of one graph.

    Attributes:
        words: What joins its neighbours.
        outcomes: Neighbours by class.
        share: Of the vote.
        own: Share of the patient's own values in what it says.
        says: Its probability of each class.
        summed: Whether the answer is the sum of what graphs say, each times its vote.
    """

    words: str
    outcomes: Mapping[str, int]
    share: float
    own: float
    says: Mapping[str, float]
    summed: bool = True


@styled
def patient_page(
    study: str,
    label: str,
    shares: Mapping[str, float],
    steps: Steps,
    graphs: Sequence[GraphLine],
    similar: Sequence[tuple[str, str, float, str]],
    notes: Sequence[str] = (),
) -> Figure:
    """Draw one patient on a page.

    Args:
        study: Name of the case.
        label: What is predicted.
        shares: Probability of each class.
        steps: What its own values do to the probability of the most probable class.
        graphs: What each graph says.
        similar: Name, outcome, weight and reason of the patients of most weight.
        notes: Lines below the name: the first beside it, the others above the list of patients.
    """
    rows = (max(len(shares), len(steps.drawn) + 2), len(graphs) + 2, max(2, len(similar) + len(notes[1:]) + 1))
    heights = [LINE_INCHES * count + extra for count, extra in zip(rows, (0.9, 0.55, 0.35), strict=True)]
    figure = Figure(figsize=(WIDTH, 0.6 + sum(heights)), layout="constrained")
    figure.suptitle(f"{study}\n", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    figure.text(0.01, 0.995, f"\n\n{notes[0] if notes else ''}", va="top", fontsize=8.5, color=SOFT)
    upper, middle, lower = np.asarray(figure.subfigures(3, 1, height_ratios=heights))
    left, right = upper.subplots(1, 2, width_ratios=(1, 1.6))
    answered = max(shares, key=lambda name: shares[name])
    _draw_shares(left, label, shares)
    _draw_steps(right, answered, steps, COLOURS[list(shares).index(answered) % len(COLOURS)])
    _draw_graphs(middle.subplots(), answered, list(shares), graphs)
    _draw_similar(lower.subplots(), label, similar, notes[1:])
    return figure


def _draw_shares(axes: Axes, label: str, shares: Mapping[str, float]) -> None:
    places = np.arange(len(shares))[::-1]
    axes.barh(places, list(shares.values()), color=[COLOURS[k % len(COLOURS)] for k in range(len(shares))], height=0.6)
    axes.set_yticks(places, list(shares))
    axes.set(xlim=(0, 1), xlabel="probability", title=f"{label}: the answer")
    for place, value in zip(places, shares.values(), strict=True):
        within = value >= 0.85
        at, colour = (value - 0.02, "white") if within else (value + 0.02, INK)
        side = "right" if within else "left"
        axes.text(at, place, f"{value:.2f}", va="center", ha=side, fontsize=8.5, color=colour)


def _draw_steps(axes: Axes, answered: str, steps: Steps, colour: str) -> None:
    """Draw a cascade from the mean answer to the patient's."""
    drawn = steps.drawn
    before = steps.start + np.concatenate([[0.0], np.cumsum([effect for _, effect in drawn])])
    places = np.arange(len(drawn) + 2)[::-1]
    axes.plot([steps.start] * 2, [places[0] - 0.3, places[0] + 0.3], color=SOFT, lw=2)
    for place, (_, effect), start in zip(places[1:], drawn, before, strict=False):
        filled = colour if effect >= 0 else LINE
        axes.barh(place, effect, left=start, height=0.6, color=filled, edgecolor=colour, lw=0.6)
        axes.plot([start] * 2, [place + 0.3, place + 1.3], color=LINE, lw=0.8, zorder=0)
        beside = max(start, start + effect) + 0.012
        axes.text(beside, place, f"{effect:+.2f}", va="center", fontsize=8, color=INK)
    axes.plot([steps.end] * 2, [places[-1] - 0.3, places[-1] + 0.3], color=colour, lw=3)
    ends = (f"mean answer {steps.start:.2f}", f"this patient {steps.end:.2f}")
    axes.set_yticks(places, [ends[0], *(words[:34] for words, _ in drawn), ends[1]])
    low, high = min(before.min(), steps.start), max(before.max(), steps.end)
    axes.set_xlim(max(low - 0.05, -0.02), high + 0.12)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 1 and low - 0.05 <= tick <= high + 0.12])
    axes.set(xlabel=f"probability of {answered}", title="Its own values: what each adds")


def _draw_graphs(axes: Axes, answered: str, classes: Sequence[str], graphs: Sequence[GraphLine]) -> None:
    places = np.arange(len(graphs))[::-1]
    start = np.zeros(len(graphs))
    for number, name in enumerate(classes):
        parts = np.array([one.outcomes[name] / max(1, sum(one.outcomes.values())) for one in graphs])
        axes.barh(places, parts, left=start, color=COLOURS[number % len(COLOURS)], height=0.6)
        start = start + parts
    axes.set_yticks(places, [f"{one.words[:40]} (n = {sum(one.outcomes.values())})" for one in graphs])
    axes.set_xticks([0, 0.5, 1])
    axes.set(xlim=(0, 2.05), ylim=(-0.6, len(graphs) + 0.2))
    axes.set_title("What became of its neighbours, and what each graph says")
    axes.spines["bottom"].set_bounds(0, 1)
    axes.set_xlabel("share of its neighbours", x=0.25)
    heads = ("vote", f"says {answered[:14]}", "adds" if graphs and graphs[0].summed else "", "own values")
    cells = [
        (
            f"{one.share:.0%}",
            f"{one.says[answered]:.2f}",
            f"{one.share * one.says[answered]:.3f}" if one.summed else "",
            f"{one.own:.0%}",
        )
        for one in graphs
    ]
    for column, x in enumerate((1.14, 1.46, 1.74, 2.02)):
        axes.text(x, len(graphs) - 0.2, heads[column], fontsize=8, color=SOFT, ha="right", va="center")
        for place, line in zip(places, cells, strict=True):
            axes.text(x, place, line[column], fontsize=8.5, color=INK, ha="right", va="center")


def _draw_similar(axes: Axes, label: str, similar: Sequence[tuple[str, str, float, str]], notes: Sequence[str]) -> None:
    rows = len(similar) + len(notes) + 1
    bare(axes)
    axes.spines[:].set_visible(False)
    axes.set_title("The patients of most weight in the answer")
    axes.set(xlim=(0, 1), ylim=(-rows + 0.4, 0.8))
    for number, words in enumerate(notes):
        axes.text(0, 0.4 - number, words, fontsize=8.5, color=ACCENT, va="center")
    if not similar:
        return
    cells = [(name, outcome, f"{weight:.2%}", reason) for name, outcome, weight, reason in similar]
    for number, line in enumerate([("study", label, "weight", "joined by"), *cells], start=len(notes)):
        for x, words in zip((0.0, 0.28, 0.48, 0.58), line, strict=True):
            colour = SOFT if number == len(notes) else INK
            axes.text(x, 0.4 - number, words[:60], fontsize=8.5, color=colour, va="center")
