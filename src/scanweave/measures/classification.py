"""Measures of predicted classes and probabilities, over rows; intervals come from `bootstrap_measure`.

A binary outcome is `positive (N,)` with a score `(N,)`, high for positive. With C classes it is `classes (N,)`, numbers
0 … C − 1, with `probabilities (N, C)`, or the class `predicted (N,)`.
"""

from __future__ import annotations

from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn import metrics

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import (
    IntArray,
    checked_classes,
    checked_numbers,
    checked_outcomes,
    scaled_rows,
)


def auroc(positive: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a positive row scores higher than a negative one; ties count a half.

    From ranks, U / (P · N) of Mann & Whitney: 30 times faster than the curve, which a bootstrap feels. Its interval:
    `scanweave.measures.delong.auroc_interval`.

    Raises:
        ScanweaveError: One class only, lengths that differ, or a score that is not finite.
    """
    truths, values = checked_outcomes(positive, scores)
    count = int(truths.sum())
    beaten = rankdata(values)[truths].sum() - count * (count + 1) / 2
    return float(beaten / (count * (len(truths) - count)))


def auprc(positive: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the precision-recall curve, average precision: Σ (Rₙ − Rₙ₋₁) Pₙ, not interpolated.

    A random score reaches the share of positives, so compare it only among sets of the same share.

    Raises:
        ScanweaveError: As `auroc`.
    """
    return float(metrics.average_precision_score(*checked_outcomes(positive, scores)))


def multiclass_auroc(
    classes: ArrayLike, probabilities: ArrayLike, average: Literal["macro", "weighted", "hand-till"] = "macro"
) -> float:
    """Return the AUROC of C classes: each against the rest, or every pair; of two classes all are that of class 1.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        probabilities: `(N, C)`.
        average: `macro`: mean over classes, each against the rest; `weighted`: the same, weighted by how common they
            are; `hand-till`: mean over pairs of classes, untouched by how common they are (Hand & Till 2001, eq. 7).

    Raises:
        ScanweaveError: A class has no row, an unknown average, or as `checks.checked_classes`.
    """
    numbers, shares = checked_classes(classes, probabilities)
    absent = sorted(set(range(shares.shape[1])) - set(numbers.tolist()))
    if absent:
        reason, step = f"no row is of class {absent[0]}", "Leave its column out and scale the rest, or merge classes"
        raise ScanweaveError("classes", reason, step)
    if average not in ("macro", "weighted", "hand-till"):
        raise ScanweaveError("average", f"{average} is unknown", "Choose macro, weighted or hand-till")
    if shares.shape[1] == 2:
        return auroc(numbers == 1, shares[:, 1])
    every = range(shares.shape[1])
    if average == "hand-till":
        pairs = ((of, rows) for of, rest in permutations(every, 2) for rows in [np.isin(numbers, (of, rest))])
        return float(np.mean([auroc(numbers[rows] == of, shares[rows, of]) for of, rows in pairs]))
    areas = [auroc(numbers == of, shares[:, of]) for of in every]
    return float(np.average(areas, weights=np.bincount(numbers) if average == "weighted" else None))


def f1(classes: ArrayLike, predicted: ArrayLike, average: Literal["binary", "macro", "weighted"] = "binary") -> float:
    """Return the harmonic mean of precision and sensitivity, 2 TP / (2 TP + FP + FN).

    Args:
        classes: `(N,)`.
        predicted: `(N,)`.
        average: `binary`: of class 1; `macro`: mean over the classes that occur; `weighted`: by how common they are.

    Returns:
        From 0 to 1; NaN if `binary` and class 1 neither occurs nor is predicted.

    Raises:
        ScanweaveError: Lengths differ, there is no row, an unknown average, or `binary` with more classes than 0 and 1.
    """
    true, called = _pairs(classes, predicted)
    if average not in ("binary", "macro", "weighted"):
        raise ScanweaveError("average", f"{average} is unknown", "Choose binary, macro or weighted")
    if average == "binary" and not np.isin([true, called], (0, 1)).all():
        raise ScanweaveError("average", "binary is for classes 0 and 1", "Choose macro or weighted")
    return float(metrics.f1_score(true, called, average=average, zero_division=np.nan))


def mcc(classes: ArrayLike, predicted: ArrayLike) -> float:
    """Return Matthews' correlation coefficient of any number of classes (Gorodkin 2004), −1 to 1, 0 for chance.

    0, as for chance, where it is not defined: all rows of one class, or all predicted as one.

    Raises:
        ScanweaveError: Lengths differ, or there is no row.
    """
    true, called = _pairs(classes, predicted)
    if not np.ptp(true) or not np.ptp(called):
        return 0.0  # scikit-learn says the same, but warns in every resample
    return float(metrics.matthews_corrcoef(true, called))


def balanced_accuracy(classes: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over the classes that occur of the share of their rows that is predicted rightly.

    Raises:
        ScanweaveError: Lengths differ, or there is no row.
    """
    true, called = _pairs(classes, predicted)
    return float(metrics.recall_score(true, called, labels=np.unique(true), average="macro", zero_division=0))


def brier(classes: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared error of probabilities (Brier 1950); 0 is best.

    Two classes: mean of (p − y)², at most 1. More: mean of Σ_c (p_c − y_c)², at most 2. Both are what papers report.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        probabilities: `(N, C)`, or `(N,)` for the probability of class 1 of two.

    Raises:
        ScanweaveError: As `checks.checked_classes`.
    """
    numbers, shares = checked_classes(classes, probabilities)
    return float(metrics.brier_score_loss(numbers, scaled_rows(shares), labels=np.arange(shares.shape[1])))


def log_loss(classes: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of −log p of the class that was right [nat]; a p of 0 counts as 2.2 · 10⁻¹⁶.

    Args and errors as `brier`.
    """
    numbers, shares = checked_classes(classes, probabilities)
    return float(metrics.log_loss(numbers, scaled_rows(shares), labels=np.arange(shares.shape[1])))


def _pairs(classes: ArrayLike, predicted: ArrayLike) -> tuple[IntArray, IntArray]:
    true, called = np.asarray(classes), np.asarray(predicted)
    if true.ndim != 1 or true.shape != called.shape or true.size == 0:
        reason = f"of shape {called.shape} for classes of shape {true.shape}"
        raise ScanweaveError("predicted", reason, "Give one class a row, in the same order")
    numbers = checked_numbers("classes", true), checked_numbers("predicted", called)
    if not all(np.isfinite(side).all() and (side == side.round()).all() for side in numbers):
        raise ScanweaveError("classes", "not all are whole numbers", "Number the classes, and call before you compare")
    return numbers[0].astype(np.int64), numbers[1].astype(np.int64)
