"""Plot of the sequences that a cohort holds, and of their combinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scanweave.errors import ScanweaveError
from scanweave.report.style import ACCENT, INK, LINE, SOFT, WIDTH, bare, styled

MAX_COMBINATIONS = 20
"""Combinations that are drawn; the rarer ones are counted in the heading."""


@styled
def availability_plot(combinations: Iterable[tuple[Iterable[str], int]], sequences: Sequence[str]) -> Figure:
    """Draw how many studies hold each combination of sequences, the commonest first.

    Args:
        combinations: The names of sequences, each time with the number of studies that hold them and no others.
        sequences: All sequences, top to bottom.

    Raises:
        ScanweaveError: There is no study.
    """
    counts: Counter[frozenset[str]] = Counter()
    for present, number in combinations:
        counts[frozenset(present) & frozenset(sequences)] += number
    if counts.total() < 1:
        raise ScanweaveError("studies", "there is none", "Give a cohort with at least one study")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], -len(item[0]), sorted(item[0])))
    shown, rest = ordered[:MAX_COMBINATIONS], ordered[MAX_COMBINATIONS:]
    figure = Figure(figsize=(WIDTH, 2.2 + 0.34 * len(sequences)), layout="constrained")
    grid: Any = figure.subplots(
        2, 2, width_ratios=[max(len(shown), 6), 5], height_ratios=[1.8, 0.34 * len(sequences)], sharex="col"
    )
    _bars(grid[0, 0], [count for _, count in shown], sum(count for _, count in rest), len(rest))
    _dots(grid[1, 0], [present for present, _ in shown], sequences)
    total = sum(counts.values())
    _totals(grid[1, 1], [sum(n for present, n in counts.items() if name in present) for name in sequences], total)
    bare(grid[0, 1])
    return figure


def _bars(axes: Axes, heights: Sequence[int], rest: int, kinds: int) -> None:
    bars = axes.bar(range(len(heights)), heights, color=ACCENT, width=0.62)
    axes.bar_label(bars, padding=2, fontsize=8, color=SOFT)
    axes.set_title("Studies by what they hold" + (f" ({rest} more in {kinds} rarer combinations)" if kinds else ""))
    bare(axes)
    axes.margins(y=0.12)


def _dots(axes: Axes, combinations: Sequence[frozenset[str]], sequences: Sequence[str]) -> None:
    for column, present in enumerate(combinations):
        rows = [row for row, name in enumerate(sequences) if name in present]
        axes.scatter([column] * len(sequences), range(len(sequences)), s=34, color=LINE, linewidths=0)
        if rows:
            axes.plot([column, column], [min(rows), max(rows)], color=ACCENT, linewidth=1.4)
        axes.scatter([column] * len(rows), rows, s=34, color=ACCENT, linewidths=0, zorder=3)
    bare(axes)
    axes.set_xlim(-0.6, max(len(combinations), 6) - 0.4)
    axes.set_ylim(len(sequences) - 0.5, -0.5)
    axes.set_yticks(range(len(sequences)), sequences, color=INK)
    axes.tick_params(length=0)


def _totals(axes: Axes, totals: Sequence[int], studies: int) -> None:
    places = np.arange(len(totals))
    axes.barh(places, [studies] * len(totals), color="#eef1f3", height=0.55)
    axes.barh(places, totals, color="#8fa3ab", height=0.55)
    for place, total in enumerate(totals):
        axes.text(studies * 1.03, place, f"{total} ({total / studies:.0%})", va="center", fontsize=8, color=SOFT)
    bare(axes)
    axes.set_xlim(0, studies * 1.55)
    axes.set_ylim(len(totals) - 0.5, -0.5)
