"""Does the AUROC differ between subgroups? A permutation test, beside the table of subgroups."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.delong import auroc_interval, aurocs_with_covariance
from scanweave.measures.input_checks import BoolArray, FloatArray, IntArray, checked_names, checked_outcomes
from scanweave.measures.paired_calls import with_holm
from scanweave.measures.subgroups import NOT_RECORDED, subgroup_table

BLOCK = 100
"""Permutations at a time: their covariance is a matrix of this size."""


def subgroup_aurocs(
    groups: Mapping[str, Sequence[Hashable]],
    patients: Sequence[Hashable],
    positive: ArrayLike,
    scores: ArrayLike,
    *,
    fewest: int = 10,
    seed: int,
    permutations: int = 2000,
    confidence: float = 0.95,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the AUROC of every subgroup, and for every variable a test of whether its levels differ in it.

    Args:
        groups: Name of a variable and its level in each row, as in `subgroup_table`.
        patients: The patient of each row.
        positive: `(N,)`, both classes.
        scores: `(N,)`, high for positive.
        fewest: Positive, negative and all patients that a shown subgroup has at least; the others are hidden, as
            `subgroup_table` says.
        seed: Of the permutations.
        permutations: Their number.
        confidence: Coverage of DeLong's intervals.

    Returns:
        The table of `subgroup_table`, and one with a row a variable: `variable`, `levels` (how many are compared: those
        that are shown and recorded), `patients` in these, `Q`, `p` and `p Holm` over the variables. Q and p are NaN
        where fewer than two levels can be compared. Both come from `auroc_differences`.

    Raises:
        ScanweaveError: As `subgroup_table` and `auroc_differences`.
    """
    truths, values = checked_outcomes(positive, scores)
    owner = checked_names("patients", patients, len(truths))

    def estimate(rows: IntArray) -> Interval:
        return auroc_interval(truths[rows], values[rows], owner[rows].tolist(), confidence=confidence)

    table = subgroup_table(groups, patients, estimate, truths, fewest=fewest)
    tests = []
    for variable, levels in groups.items():
        shown = table[(table["variable"] == variable) & ~table["hidden"] & (table["level"] != NOT_RECORDED)]
        column = pd.Series(levels, dtype=object)
        names = column.astype(str).where(column.notna(), NOT_RECORDED).to_numpy()
        rows = np.flatnonzero(np.isin(names, shown["level"]))
        found = np.nan, np.nan
        if len(shown) > 1:
            compared = names[rows].tolist(), owner[rows].tolist(), truths[rows], values[rows]
            found = auroc_differences(*compared, seed=seed, permutations=permutations)
        people = len(np.unique(owner[rows]))
        tests.append((variable, len(shown), people, *found))
    return table, with_holm(pd.DataFrame(tests, columns=["variable", "levels", "patients", "Q", "p"]))


def auroc_differences(
    levels: Sequence[Hashable],
    patients: Sequence[Hashable],
    positive: ArrayLike,
    scores: ArrayLike,
    *,
    seed: int,
    permutations: int = 2000,
) -> tuple[float, float]:
    """Test by permutation whether the AUROC is the same at all levels of a variable.

    Q = Σ wₗ (Aₗ − Ā)² with wₗ one over DeLong's variance by patient and Ā the weighted mean (Cochran 1954). Patients
    with as many positive and negative rows exchange their scores, so that no level changes its numbers. If scores are
    distributed alike at all levels, p holds for any number of patients; since Q is studentised it also holds, for many
    patients, where only the AUROC is the same (Pauly, Asendorf & Konietschke 2016).

    Args:
        levels: The level of each row, two at least; rows of one patient may differ, as lesions do in size.
        patients: The patient of each row.
        positive: `(N,)`, both classes at every level.
        scores: `(N,)`, high for positive.
        seed: Of the permutations.
        permutations: Their number; p is at least 1 / (permutations + 1) (Phipson & Smyth 2010).

    Returns:
        Q, and p. Where a level has one patient alone of a class, both are NaN.

    Raises:
        ScanweaveError: One level only, one class only at a level, lengths that differ, a score that is not finite, or
            no permutation.
    """
    truths, values = checked_outcomes(positive, scores)
    of_level, owner = checked_names("levels", levels, len(truths)), checked_names("patients", patients, len(truths))
    if of_level.max() == 0:
        raise ScanweaveError("levels", "there is one only", "Give two at least")
    if permutations < 1:
        raise ScanweaveError("permutations", f"{permutations}", "Give at least 1; 2000 are common")
    parts = [np.flatnonzero(of_level == level) for level in range(of_level.max() + 1)]
    observed = float(_heterogeneity(values[None], truths, owner, parts)[0])
    if np.isnan(observed):
        return observed, observed
    blocks = _exchanged(values, truths, owner, seed, permutations)
    draws = np.concatenate([_heterogeneity(block, truths, owner, parts) for block in blocks])
    return observed, float((1 + (draws >= observed * (1 - 1e-9)).sum()) / (1 + permutations))


def _heterogeneity(scores: FloatArray, truths: BoolArray, owner: IntArray, parts: list[IntArray]) -> FloatArray:
    """Return Q `(K,)` of scores `(K, N)`."""
    areas, variances = [], []
    for rows in parts:
        area, covariance, _ = aurocs_with_covariance(truths[rows], list(scores[:, rows]), owner[rows].tolist())
        positives = int(truths[rows].sum())
        areas.append(area)
        # Classes that do not overlap have no variance: take that of one pair in the wrong order.
        variances.append(np.maximum(np.diag(covariance), 2 / (positives * (len(rows) - positives)) ** 2))
    weights, found = 1 / np.array(variances), np.array(areas)
    mean = (weights * found).sum(axis=0) / weights.sum(axis=0)
    total: FloatArray = (weights * (found - mean) ** 2).sum(axis=0)
    return total


def _exchanged(
    scores: FloatArray, truths: BoolArray, owner: IntArray, seed: int, permutations: int
) -> Iterator[FloatArray]:
    """Yield blocks `(K, N)` in which patients of as many positive and negative rows have exchanged their scores."""
    rng = np.random.default_rng([seed, len(scores)])
    order = np.lexsort((truths, owner))
    makeup = np.stack([np.bincount(owner, truths), np.bincount(owner, ~truths)], axis=1)
    _, kind = np.unique(makeup, axis=0, return_inverse=True)
    kind = kind.ravel()[owner[order]]
    alike = [order[kind == one] for one in range(kind.max() + 1)]
    blocks = [rows.reshape(len(np.unique(owner[rows])), -1) for rows in alike]
    for start in range(0, permutations, BLOCK):
        drawn = np.tile(scores, (min(BLOCK, permutations - start), 1))
        for line in drawn:
            for rows in blocks:
                line[rows] = scores[rng.permutation(rows)]
        yield drawn
