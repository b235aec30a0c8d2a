"""Measures of confusion matrices, of many at once: what a bootstrap needs, and an interval of each.

A confusion matrix is `(…, C, C)`, row = true class, column = called class. Of two classes the second
is the positive one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.measures.bootstrap import Interval, interval, patient_counts
from scanweave.measures.input_checks import checked_names

Array = NDArray[np.float64]


def confusion_counts(classes: ArrayLike, called: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return how many rows of each class were called what, `(C, C)`.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        called: Likewise.
        count: Classes C.
    """
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (np.asarray(classes, int), np.asarray(called, int)), 1)
    return counts


def accuracy(counts: Array) -> Array:
    """Return the share of rows that are called rightly."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def recall(counts: Array) -> Array:
    """Return of each class the share of its rows that are called so `(…, C)`; NaN of a class without a row."""
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def balanced_accuracy(counts: Array) -> Array:
    """Return the mean recall of the classes that occur."""
    found = recall(counts)
    return _ratio(np.nansum(found, axis=-1), (~np.isnan(found)).sum(axis=-1))


def f1_by_class(counts: Array) -> Array:
    """Return 2 TP / (2 TP + FP + FN) of each class `(…, C)`; NaN of one that neither occurs nor is called."""
    right = 2 * np.diagonal(counts, axis1=-2, axis2=-1)
    return _ratio(right, counts.sum(axis=-1) + counts.sum(axis=-2))


def f1(counts: Array) -> Array:
    """Return the F1 of the positive class of two, of more classes the mean over those that occur or are called."""
    found = f1_by_class(counts)
    if counts.shape[-1] == 2:
        return found[..., 1]
    return _ratio(np.nansum(found, axis=-1), (~np.isnan(found)).sum(axis=-1))


def mcc(counts: Array) -> Array:
    """Return Matthews' correlation of any number of classes (Gorodkin 2004, eq. 8); 0 where it is not defined."""
    rows, columns = counts.sum(axis=-1), counts.sum(axis=-2)
    total = counts.sum(axis=(-2, -1))
    common = np.trace(counts, axis1=-2, axis2=-1) * total - (rows * columns).sum(axis=-1)
    spread = (total**2 - (columns**2).sum(axis=-1)) * (total**2 - (rows**2).sum(axis=-1))
    return np.nan_to_num(_ratio(common, np.sqrt(spread)))


CALLS: dict[str, Callable[[Array], Array]] = {
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "F1": f1,
    "MCC": mcc,
}
"""Of any number of classes."""
BINARY_CALLS: dict[str, Callable[[Array], Array]] = {
    "sensitivity": lambda counts: recall(counts)[..., 1],
    "specificity": lambda counts: recall(counts)[..., 0],
    **{name: CALLS[name] for name in ("balanced accuracy", "F1", "MCC")},
}
"""Of two classes."""


def measure_calls(
    classes: ArrayLike,
    called: ArrayLike,
    count: int,
    patients: Sequence[Hashable],
    measures: Mapping[str, Callable[[Array], Array]] = CALLS,
    *,
    seed: int = 0,
    repeats: int = 2000,
) -> dict[str, Interval]:
    """Return measures of called classes with percentile intervals from resampling patients.

    All resamples are one product of matrices. Those in which a measure is not defined, for lack of a class, are left
    out of its interval.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        called: Likewise.
        count: Classes C.
        patients: The patient of each row.
        measures: Of confusion matrices.
        seed: Of the resampling.
        repeats: Resamples.
    """
    true, said = np.asarray(classes, int), np.asarray(called, int)
    owner = checked_names("patients", patients, len(true))
    tables = np.zeros((int(owner.max()) + 1, count, count))
    np.add.at(tables, (owner, true, said), 1)
    drawn = np.tensordot(patient_counts(len(tables), repeats, seed).astype(float), tables, axes=1)
    found = {}
    for name, measure in measures.items():
        value, draws = float(measure(tables.sum(axis=0))), measure(drawn)
        known = draws[~np.isnan(draws)]
        unknown = Interval(value, float("nan"), float("nan"), len(tables))
        found[name] = interval(value, known, len(tables)) if len(known) else unknown
    return found


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Array:
    """Return a quotient, NaN where there is nothing to divide by."""
    above, below = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
