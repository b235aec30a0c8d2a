"""Certainty of a ranking, from resampled scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import checked_fraction, checked_numbers

FloatArray = NDArray[np.float64]
LAST_DIGITS = 1e-12
"""Difference of two scores, as a share of the largest of a resample, that summing explains."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of N things, 1 the highest score.

    Attributes:
        probability: `(N, N)`, `probability[i, r]` = P(thing i has rank r + 1); rows and columns add up to 1.
        low: `(N,)` best rank of the interval.
        high: `(N,)` worst rank of the interval.
        n: Number of patients behind the resamples; with one, everything is NaN.
    """

    probability: FloatArray
    low: FloatArray
    high: FloatArray
    n: int


def rank_probabilities(scores: ArrayLike) -> FloatArray:
    """Return the share of resamples in which each thing takes each rank.

    Args:
        scores: `(repeats, N)`, higher is better. Ties share their ranks evenly.

    Returns:
        `(N, N)`: row = thing, column = rank − 1.

    Raises:
        ScanweaveError: The scores are no finite matrix with at least one row.
    """
    best, worst = _tied_ranks(scores)
    ranks = np.arange(1, best.shape[1] + 1)
    taken = (best[..., None] <= ranks) & (ranks <= worst[..., None])
    shares: FloatArray = (taken / taken.sum(axis=-1, keepdims=True)).mean(axis=0)
    return shares


def rank_intervals(scores: ArrayLike, n: int, confidence: float = 0.95) -> Ranks:
    """Return rank probabilities and the interval of each rank.

    Args:
        scores: Resampled scores `(repeats, N)`, higher is better.
        n: Number of patients that were resampled. One patient tells nothing of others: all is NaN then.
        confidence: Coverage that is asked for.

    Raises:
        ScanweaveError: As `rank_probabilities`.
    """
    checked_fraction("confidence", confidence)
    best, worst = _tied_ranks(scores)
    if n < 2:
        size = best.shape[1]
        unknown = np.full(size, np.nan)
        return Ranks(np.full((size, size), np.nan), unknown, unknown, n)
    tail = (1 - confidence) / 2
    low = np.quantile(best, tail, axis=0, method="inverted_cdf").astype(np.float64)
    high = np.quantile(worst, 1 - tail, axis=0, method="inverted_cdf").astype(np.float64)
    return Ranks(rank_probabilities(scores), low, high, n)


def _tied_ranks(scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the best and worst rank `(repeats, N)` that each score can take among its ties."""
    scores = checked_numbers("scores", scores)
    if scores.ndim != 2 or scores.size == 0 or not np.isfinite(scores).all():
        raise ScanweaveError(
            "scores", f"not a finite (repeats, N) matrix but of shape {scores.shape}", "Leave out what was not scored"
        )
    same = _without_rounding(-scores)
    return (
        rankdata(same, method="min", axis=1).astype(np.int64),
        rankdata(same, method="max", axis=1).astype(np.int64),
    )


def _without_rounding(scores: FloatArray) -> NDArray[np.int64]:
    """Return scores `(repeats, N)` as steps in order, equal where they differ by the rounding of their sums only.

    Two things with the same figures add up to scores that differ in the last digit if a library sums columns unlike.
    """
    order = np.argsort(scores, axis=1, kind="stable")
    rising = np.take_along_axis(scores, order, axis=1)
    apart = np.diff(rising, axis=1, prepend=rising[:, :1]) > LAST_DIGITS * np.abs(scores).max(axis=1, keepdims=True)
    steps = np.empty(scores.shape, np.int64)
    np.put_along_axis(steps, order, np.cumsum(apart, axis=1), axis=1)
    return steps
