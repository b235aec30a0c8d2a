"""Checks of what is measured: patients, outcomes, scores and probabilities of the right length, range and sum."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ROUNDING = 1e-9
"""Relative difference up to which a value counts as equal to a threshold: rounding makes less, measurements more."""


def checked_numbers(name: str, values: ArrayLike) -> FloatArray:
    """Return `values` as floats; what is None becomes NaN.

    Raises:
        ScanweaveError: One is no number, or rows differ in length.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScanweaveError(name, "not all are numbers", "Give numbers, and NaN for what is not known") from error


def checked_names(name: str, names: Sequence[Hashable], rows: int) -> IntArray:
    """Return the patient (or stratum) of each row as a number `(rows,)`, in the order in which they first appear.

    Raises:
        ScanweaveError: Their number differs, or one is None or NaN: rows of no one would count as one, or as many.
    """
    if len(names) != rows:
        raise ScanweaveError(name, f"{len(names)} for {rows} rows", "Give that of every row, in the same order")
    own = np.empty(rows, dtype=object)
    own[:] = list(names)
    try:
        numbers: IntArray = pd.factorize(own)[0]
    except TypeError as error:
        raise ScanweaveError(name, "a name cannot be told from others", "Give strings or numbers") from error
    if (numbers < 0).any():
        raise ScanweaveError(name, f"{(numbers < 0).sum()} rows have none", "Name that of every row, or leave it out")
    return numbers


def checked_truths(name: str, truths: ArrayLike) -> BoolArray:
    """Return `truths` as booleans `(N,)`.

    Raises:
        ScanweaveError: There is none, they have more than one axis, or one is neither 0 nor 1.
    """
    values = np.asarray(truths)
    if values.ndim != 1 or values.size == 0:
        raise ScanweaveError(name, f"of shape {values.shape}, not (N,) with N ≥ 1", "Give one a row")
    if values.dtype == bool:
        return values
    if pd.isna(values).any() or not np.isin(values, (0, 1)).all():
        raise ScanweaveError(name, "it holds values other than 0 and 1", "Give true or false a row; leave out the rest")
    return values.astype(bool)


def checked_scores(name: str, scores: ArrayLike, rows: int) -> FloatArray:
    """Return `scores` as floats `(rows,)`.

    Raises:
        ScanweaveError: Their shape differs, or one is NaN or infinite.
    """
    values = checked_numbers(name, scores)
    if values.shape != (rows,):
        raise ScanweaveError(name, f"of shape {values.shape} for {rows} rows", "Give one a row, in the same order")
    if not np.isfinite(values).all():
        raise ScanweaveError(name, "it holds NaN or infinity", "Leave those rows out, and say how many they are")
    return values


def checked_outcomes(positive: ArrayLike, scores: ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return a binary outcome `(N,)` with both classes and the score `(N,)` of each row.

    Raises:
        ScanweaveError: As `checked_truths` and `checked_scores`, or all rows are of one class.
    """
    truths = checked_truths("positive", positive)
    if truths.all() or not truths.any():
        kind = "positive" if truths.all() else "negative"
        raise ScanweaveError("positive", f"every row is {kind}", "Both classes are needed to tell them apart")
    return truths, checked_scores("scores", scores, len(truths))


def checked_shares(name: str, probabilities: ArrayLike, rows: int) -> FloatArray:
    """Return the probabilities `(rows,)` of one event.

    Raises:
        ScanweaveError: As `checked_scores`, or one lies outside 0 to 1.
    """
    values = checked_scores(name, probabilities, rows)
    if values.min() < 0 or values.max() > 1:
        raise ScanweaveError(name, "not all lie between 0 and 1", "Give probabilities, not logits or percent")
    return values


def checked_classes(classes: ArrayLike, probabilities: ArrayLike) -> tuple[IntArray, FloatArray]:
    """Return the class `(N,)` of each row and its probabilities `(N, C)`.

    Args:
        classes: `(N,)` numbers 0 … C − 1: columns of `probabilities`.
        probabilities: `(N, C)`, or `(N,)` for the probability of class 1 of two.

    Raises:
        ScanweaveError: Lengths differ, there are fewer than two columns, a class has none, or a row is not finite, not
            in 0 to 1, or not 1 in sum.

    Probabilities come back as they are, so that equal ones stay equal; `scaled_rows` makes their sums exactly 1.
    """
    numbers, shares = np.asarray(classes), checked_numbers("probabilities", probabilities)
    if shares.ndim == 1:
        shares = np.stack([1 - shares, shares], axis=1)
    if numbers.ndim != 1 or numbers.size == 0 or shares.ndim != 2 or len(shares) != len(numbers):
        reason = f"of shape {shares.shape} for classes of shape {numbers.shape}"
        raise ScanweaveError("probabilities", reason, "Give (N, C) for (N,) classes, in the same order")
    if shares.shape[1] < 2:
        raise ScanweaveError("probabilities", "of one class only", "Give a column for every class, two at least")
    if pd.isna(numbers).any() or not np.isin(numbers, np.arange(shares.shape[1])).all():
        reason = f"it holds others than the numbers of the {shares.shape[1]} columns of probabilities"
        raise ScanweaveError("classes", reason, "Number the classes 0, 1, … in the order of the columns")
    if not np.isfinite(shares).all() or shares.min() < 0 or shares.max() > 1:
        raise ScanweaveError(
            "probabilities", "not all lie between 0 and 1", "Give probabilities, not logits or percent"
        )
    if np.abs(shares.sum(axis=1) - 1).max() > 1e-4:
        raise ScanweaveError("probabilities", "a row does not add up to 1", "Give a column for every class")
    return numbers.astype(np.int64), shares


def scaled_rows(shares: FloatArray) -> FloatArray:
    """Return probabilities `(N, C)` whose rows sum to 1: for losses only, since it can untie equal probabilities."""
    scaled: FloatArray = shares / shares.sum(axis=1, keepdims=True)
    return scaled


def reached(values: ArrayLike, threshold: ArrayLike) -> BoolArray:
    """Return where values are at least a threshold, or below it by no more than rounding explains.

    7 of 100 reach 0.07, though 0.07 · 100 is above 7 in floats.
    """
    least = np.asarray(threshold, np.float64)
    return np.asarray(np.asarray(values, np.float64) >= least - ROUNDING * np.abs(least))


def checked_fraction(name: str, value: float) -> float:
    """Return `value` if it lies between 0 and 1, both excluded.

    Raises:
        ScanweaveError: It does not.
    """
    if not 0 < value < 1:
        raise ScanweaveError(name, f"{value} does not lie between 0 and 1", "Give a fraction such as 0.95")
    return float(value)
