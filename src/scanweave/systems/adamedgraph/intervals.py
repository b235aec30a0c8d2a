"""Graphs of patients from one column: neighbours are those whose values lie within a threshold.

In the order of its values, the neighbours of a patient are an interval. One propagation step is then a difference of
prefix sums, without a list of edges: O(n log n) once for sorting, O(n) a step, where edges would be O(n²).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
MOST_DISCRETE_VALUES = 10
"""A column with at most so many values is not continuous: equal values may be a neighbourhood of their own."""
SKETCH_VALUES = 1_000
"""Values that stand for a column when differences between patients are counted."""
THRESHOLD_ROUNDING = 1e-9
"""Relative margin that is added to a threshold: 0.3 - 0.1 and 0.2 - 0 are the same difference."""


@dataclass(frozen=True, eq=False)
class IntervalGraph:
    """Patients i and j are neighbours iff |f_i - f_j| ≤ threshold; each is its own; a missing value has no other.

    Patients with one value form a *group*; a patient whose value is missing forms one alone. Group g neighbours the
    groups in `[low[g], high[g])`. A patient of mass w counts as w patients.

    Attributes:
        values: Distinct values, sorted `(U,)`, those of groups before the groups of missing values.
        group: Group of each patient `(n,)`.
        low: First neighbour of each group `(G,)`, G ≥ U.
        high: Last neighbour of each group, plus one `(G,)`.
        mass: Mass of each patient `(n,)`.
        threshold: Largest difference between neighbours, in the unit of the column.
    """

    values: Floats
    group: Indices
    low: Indices
    high: Indices
    mass: Floats
    threshold: float

    @cached_property
    def group_mass(self) -> Floats:
        """Sum of the masses of each group `(G,)`."""
        return np.bincount(self.group, weights=self.mass, minlength=len(self.low)).astype(np.float64)

    @cached_property
    def degree(self) -> Floats:
        """Mass of the neighbours of a patient of each group, itself with them `(G,)`."""
        total = np.concatenate([[0.0], np.cumsum(self.group_mass)])
        return total[self.high] - total[self.low]

    def edges(self) -> Indices:
        """Return all directed pairs `(2, E)`, each patient with itself; for other libraries, O(n²)."""
        order = np.argsort(self.group, kind="stable")
        start = np.searchsorted(self.group[order], np.arange(len(self.low) + 1))
        first, last = start[self.low[self.group]], start[self.high[self.group]]
        count = last - first
        source = np.repeat(np.arange(len(self.group)), count)
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.stack([source, order[np.repeat(first, count) + offset]])


def interval_graph(column: Floats, threshold: float | None, mass: Floats | None = None) -> IntervalGraph:
    """Build the graph of a column in O(n log n).

    Args:
        column: A value for each patient `(n,)`; NaN is missing.
        threshold: Largest difference between neighbours; 0 joins equal values; None joins nobody.
        mass: How many patients each row counts as `(n,)`; one if not given.
    """
    there = ~np.isnan(column) if threshold is not None else np.zeros(len(column), dtype=bool)
    values, within = np.unique(column[there], return_inverse=True)
    group = np.empty(len(column), dtype=np.int64)
    group[there] = within
    group[~there] = len(values) + np.arange((~there).sum())
    alone = np.arange(len(values), len(values) + int((~there).sum()))
    low, high = neighbours(values, values, threshold or 0.0)
    mass = np.ones(len(column)) if mass is None else mass
    return IntervalGraph(
        values, group, np.concatenate([low, alone]), np.concatenate([high, alone + 1]), mass, threshold or 0.0
    )


def neighbours(values: Floats, asked: Floats, threshold: float) -> tuple[Indices, Indices]:
    """Tell which of the sorted distinct `values` lie within the threshold of each asked value, as `[low, high)`.

    Exactly |asked - value| ≤ threshold as the computer subtracts: a threshold is the difference of two patients, so
    that rounding decides who is a neighbour, and it must decide the same way from both sides. None for NaN.
    """
    low = np.searchsorted(values, asked - threshold, side="left")
    high = np.searchsorted(values, asked + threshold, side="right")
    if not len(values):
        return low, high
    last = len(values) - 1
    while (move := (low > 0) & (asked - values[np.maximum(low - 1, 0)] <= threshold)).any():
        low = low - move
    while (move := (low <= last) & (asked - values[np.minimum(low, last)] > threshold)).any():
        low = low + move
    while (move := (high <= last) & (values[np.minimum(high, last)] - asked <= threshold)).any():
        high = high + move
    while (move := (high > 0) & (values[np.maximum(high - 1, 0)] - asked > threshold)).any():
        high = high - move
    nobody = np.isnan(asked) | (high < low)
    return np.where(nobody, 0, low), np.where(nobody, 0, high)


def candidate_thresholds(
    column: Floats, levels: tuple[float, ...], mass: Floats, *, categorical: bool = False, of_values: bool = False
) -> dict[float, float]:
    """Return thresholds of a column by level, largest first, but those that join nobody, everybody, or the same.

    A level q stands for the q-quantile of |f_i - f_j| over pairs of patients, which does not depend on where the
    column's zero lies. Of a column with more than `MOST_DISCRETE_VALUES` values only pairs that differ count: else a
    column that is mostly zero would join equal values only. Categories, and columns of two values, join equals.

    Args:
        column: A value for each training patient `(n,)`.
        levels: The quantiles.
        mass: How many patients each row counts as `(n,)`.
        categorical: Whether the values are codes of categories.
        of_values: Take the quantile of the values, as published: it depends on the zero and may be negative.
    """
    there = ~np.isnan(column)
    values, at = np.unique(column[there], return_inverse=True)
    if len(values) < 2:
        return {}
    if categorical or len(values) == 2:
        return {0.0: 0.0}
    weights = np.bincount(at, weights=mass[there]).astype(np.float64)
    if of_values:
        found = {q: float(np.quantile(values, q, weights=weights, method="inverted_cdf")) for q in levels}
    else:
        found = _pairwise(values, weights, levels)
    span = values[-1] - values[0]
    thresholds: dict[float, float] = {}
    for level in sorted(found, reverse=True):
        threshold = found[level] * (1 + THRESHOLD_ROUNDING)
        if 0 <= threshold < span and not np.isclose(threshold, list(thresholds.values()), atol=0).any():
            thresholds[level] = threshold
    return thresholds


def _pairwise(values: Floats, weights: Floats, levels: tuple[float, ...]) -> dict[float, float]:
    """Return quantiles of the difference of two patients; of very many values, those at even steps of mass.

    An even sketch needs no draw, so that equal tables give equal thresholds.
    """
    if len(values) > SKETCH_VALUES:
        position = (np.cumsum(weights) - weights / 2) / weights.sum()
        chosen = np.unique(
            np.searchsorted(position, (np.arange(SKETCH_VALUES) + 0.5) / SKETCH_VALUES).clip(0, len(values) - 1)
        )
        values, weights = values[chosen], np.ones(len(chosen))
    if len(values) > MOST_DISCRETE_VALUES:
        first, second = np.triu_indices(len(values), 1)
        pairs = weights[first] * weights[second]
    else:
        first, second = np.triu_indices(len(values))
        pairs = weights[first] * weights[second] * np.where(first == second, 1, 2)
    differences = values[second] - values[first]
    order = np.argsort(differences, kind="stable")
    share = np.cumsum(pairs[order]) / pairs.sum()
    at = np.searchsorted(share, np.array(levels) * (1 - 1e-12)).clip(0, len(order) - 1)
    return {level: float(differences[order[i]]) for level, i in zip(levels, at, strict=True)}
