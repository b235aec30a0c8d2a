"""Two things compared: the difference with its interval, and a test of what is to be shown.

What is to be shown is `Different()`, `NonInferior(margin)` or `Equivalent(margin)`; the margin is chosen before the
data are seen. Higher is better throughout: of figures where lower is better, such as losses, compare the negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.input_checks import FloatArray, checked_fraction, checked_numbers

Statistic = Callable[[float], float]
"""From a supposed difference to how many standard errors the observed one lies above it."""


@dataclass(frozen=True)
class Different:
    """To be shown: the difference is not 0 (two-sided)."""

    def p(self, statistic: Statistic, distribution: Any = norm) -> float:
        """Return the p-value of a statistic that follows `distribution` where the null hypothesis holds."""
        return float(2 * distribution.sf(abs(statistic(0.0))))

    def __str__(self) -> str:
        return "different"


@dataclass(frozen=True)
class NonInferior:
    """To be shown: the first is not worse than the second by `margin` or more (one-sided).

    Attributes:
        margin: Loss that would matter, above 0, in units of the difference.
    """

    margin: float

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def p(self, statistic: Statistic, distribution: Any = norm) -> float:
        """Return the p-value against "worse by the margin or more"."""
        return float(distribution.sf(statistic(-self.margin)))

    def __str__(self) -> str:
        return f"not worse by {self.margin:g}"


@dataclass(frozen=True)
class Equivalent:
    """To be shown: the two differ by less than `margin` (two one-sided tests, Schuirmann 1987).

    Attributes:
        margin: Difference that would matter, above 0.
    """

    margin: float

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def p(self, statistic: Statistic, distribution: Any = norm) -> float:
        """Return the larger p-value of the two one-sided tests."""
        above, below = distribution.sf(statistic(-self.margin)), distribution.cdf(statistic(self.margin))
        return float(np.maximum(above, below))

    def __str__(self) -> str:
        return f"within ±{self.margin:g}"


Aim = Different | NonInferior | Equivalent


@dataclass(frozen=True)
class Comparison:
    """A difference and how it was tested.

    Attributes:
        difference: First − second, with interval and number of patients.
        p: P-value; small speaks for `aim`. NaN where the data cannot tell.
        aim: What was to be shown.
    """

    difference: Interval
    p: float
    aim: Aim

    def __str__(self) -> str:
        return f"{self.difference}, {self.aim}: p = {self.p:.2g}"


def compare_means(first: ArrayLike, second: ArrayLike, aim: Aim | None = None, confidence: float = 0.95) -> Comparison:
    """Compare two figures of the same patients by the paired t-test.

    Args:
        first: `(N,)`, one figure a patient, such as its Dice; average several rows of a patient beforehand.
        second: `(N,)`, in the same order. A patient with NaN in either is left out.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval. A `NonInferior` p below 2.5 % and a 95 % interval above −margin are the
            same; so are an `Equivalent` p below 5 % and a 90 % interval within the margins.

    Returns:
        With one patient, or no spread at all, interval and p are NaN (p is 1 if there is no difference either).

    Raises:
        ScanweaveError: Shapes differ, a figure is infinite, or no pair is left.
    """
    one, other = checked_numbers("first", first), checked_numbers("second", second)
    if one.ndim != 1 or one.shape != other.shape:
        raise ScanweaveError("first", f"{one.shape} against {other.shape}", "Give one figure a patient, in one order")
    if np.isinf(one).any() or np.isinf(other).any():
        raise ScanweaveError("first", "a figure is infinite", "Cap it, as PSNR, or compare another measure")
    present = ~np.isnan(one - other)
    differences, n = (one - other)[present], int(present.sum())
    if n == 0:
        raise ScanweaveError("first", "no patient has both figures", "Give at least two patients with both")
    variance = _variance(differences, float(np.abs(one[present]).max()))
    return wald(float(differences.mean()), variance / n, n, aim, confidence, student(max(n - 1, 1)))


def compare_resampled(
    differences: ArrayLike, train: int, test: int, aim: Aim | None = None, confidence: float = 0.95
) -> Comparison:
    """Compare two learners over resampled training and test sets by the corrected t-test of Nadeau & Bengio (2003).

    Splits of one cohort share patients, so the mean over J of them varies more than their spread s² says:
    t = mean / √((1/J + test/train) s²) with J − 1 degrees of freedom (their eq. 4.1 with the correction of §3).

    Args:
        differences: `(J,)`, first − second, one a split: a random split, or a fold of a repeated cross-validation.
        train: Patients in a training set.
        test: Patients in a test set.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval.

    Returns:
        `n` is the number of patients, `train + test`. NaN as in `compare_means`.

    Raises:
        ScanweaveError: No split, a difference that is not finite, or sets without patients.
    """
    values = checked_numbers("differences", differences)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ScanweaveError("differences", "not a finite figure a split", "Leave out splits where either has none")
    if train < 1 or test < 1:
        raise ScanweaveError("train", f"{train} and {test} patients", "Give the sizes of training and test set")
    splits = len(values)
    variance = (1 / splits + test / train) * _variance(values, float(np.abs(values).max()))
    return wald(float(values.mean()), variance, train + test, aim, confidence, student(max(splits - 1, 1)))


def holm(p_values: Sequence[float]) -> FloatArray:
    """Return p-values `(K,)` adjusted for K tests so that the chance of any false finding is kept (Holm 1979).

    Raises:
        ScanweaveError: There is none, or one is not between 0 and 1.
    """
    values = checked_numbers("p_values", p_values)
    if values.ndim != 1 or values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise ScanweaveError("p_values", "not all lie between 0 and 1", "Leave out tests without a p-value, and say so")
    adjusted: FloatArray = multipletests(values, method="holm")[1]
    return adjusted


def wald(
    estimate: float,
    variance: float,
    n: int,
    aim: Aim | None = None,
    confidence: float = 0.95,
    distribution: Any = norm,
    limit: float = np.inf,
) -> Comparison:
    """Return the comparison of an estimated difference whose (estimate − truth) / √variance follows `distribution`.

    The interval is cut to ±`limit`, beyond which no difference can lie.
    """
    aim, level = aim or Different(), (1 + checked_fraction("confidence", confidence)) / 2
    error = float(np.sqrt(variance)) if variance > 0 else float("nan")

    def statistic(difference: float) -> float:
        above = estimate - difference
        return 0.0 if abs(above) < 1e-15 else above / error

    reach = error * float(distribution.ppf(level))
    low, high = np.clip([estimate - reach, estimate + reach], -limit, limit).tolist()
    return Comparison(Interval(estimate, low, high, n), aim.p(statistic, distribution), aim)


def mean_over_seeds(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean of a figure over the seeds of an experiment, with Student's interval; none of one seed alone.

    Args:
        values: The figure of each seed, or its difference between two arms of the same seed.
        confidence: Coverage that is asked for, between 0 and 1.

    Raises:
        ScanweaveError: A value is no number, or there is none.
    """
    each = checked_numbers("values", values)
    number = len(each)
    if number < 2:
        return Interval(float(each[0]), float("nan"), float("nan"), number)
    variance = float(each.var(ddof=1)) / number
    return wald(float(each.mean()), variance, number, None, confidence, student(number - 1)).difference


def _variance(values: FloatArray, scale: float) -> float:
    """Return the variance; 0 where the values differ by the rounding of figures of this size only."""
    if np.ptp(values) <= 1e-12 * scale:
        return 0.0
    return float(values.var(ddof=1))


def _check_margin(margin: float) -> None:
    if not 0 < margin < np.inf:
        raise ScanweaveError("margin", f"{margin} is not above 0", "Give the smallest difference that would matter")
