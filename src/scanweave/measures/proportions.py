"""Proportions of patients: their intervals, and comparisons of two, paired and unpaired.

Every row is a patient here; with several rows a patient use `bootstrap_measure`.
"""

from __future__ import annotations

import math
from typing import Literal

from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import binom, norm
from statsmodels.stats import contingency_tables
from statsmodels.stats.proportion import proportion_confint

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import Aim, Comparison, Different, Statistic
from scanweave.measures.input_checks import checked_fraction, checked_truths

Method = Literal["wilson", "clopper-pearson"]


def proportion(successes: int, n: int, method: Method = "wilson", confidence: float = 0.95) -> Interval:
    """Return a proportion with its interval.

    Args:
        successes: Number of patients with the property.
        n: Number of patients.
        method: `wilson`: score interval, covers 95 % on average (Newcombe 1998, method 3); `clopper-pearson`: exact,
            covers 95 % at the least and mostly more, for bounds that must hold (method 5).
        confidence: Coverage that is asked for. The upper end at 0.90 is a one-sided 95 % bound.

    Returns:
        With no patient all is NaN.

    Raises:
        ScanweaveError: Counts that cannot be, or an unknown method.
    """
    if not 0 <= successes <= n or successes % 1 or n % 1:
        raise ScanweaveError("successes", f"{successes} of {n}", "Give whole numbers, 0 ≤ successes ≤ n")
    if method not in ("wilson", "clopper-pearson"):
        raise ScanweaveError("method", f"{method} is unknown", "Choose wilson or clopper-pearson")
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    alpha = 1 - checked_fraction("confidence", confidence)
    low, high = proportion_confint(successes, n, alpha, "wilson" if method == "wilson" else "beta")
    share = successes / n
    return Interval(share, max(min(float(low), share), 0.0), min(max(float(high), share), 1.0), n)


def mcnemar(
    first: ArrayLike,
    second: ArrayLike,
    method: Literal["mid-p", "exact", "corrected"] = "mid-p",
    confidence: float = 0.95,
) -> Comparison:
    """Test whether two binary calls of the same patients are equally often true (McNemar 1947).

    Args:
        first: `(N,)` whether the first is right (or calls positive) on each patient.
        second: `(N,)` the same of the second.
        method: `mid-p`: close to 5 % and hardly ever above (Fagerland et al. 2013); `exact`: never above, often far
            below; `corrected`: χ² with continuity correction, as far below. Without correction it is
            `compare_paired_proportions`.
        confidence: Coverage of the interval, which is that of `compare_paired_proportions`.

    Returns:
        p is 1 where as many differ one way as the other, or none does.

    Raises:
        ScanweaveError: Lengths differ, values other than 0 and 1, or an unknown method.
    """
    only_first, only_second, n = _discordant(first, second)
    discordant = only_first + only_second
    if method not in ("mid-p", "exact", "corrected"):
        raise ScanweaveError("method", f"{method} is unknown", "Choose mid-p, exact or corrected")
    if only_first == only_second:
        p = 1.0  # also when corrected: statsmodels would correct a difference of 0 to one of −1
    elif method == "mid-p":
        fewer = min(only_first, only_second)
        p = min(float(2 * binom.cdf(fewer, discordant, 0.5) - binom.pmf(fewer, discordant, 0.5)), 1.0)
    else:
        table = [[0, only_first], [only_second, 0]]
        p = float(contingency_tables.mcnemar(table, exact=method == "exact", correction=True).pvalue)
    statistic = _tango(only_first, only_second, n)
    return Comparison(_inverted((only_first - only_second) / n, statistic, n, confidence), p, Different())


def compare_paired_proportions(
    first: ArrayLike, second: ArrayLike, aim: Aim | None = None, confidence: float = 0.95
) -> Comparison:
    """Compare two proportions of the same patients, such as two sensitivities, by the score test of Tango (1998).

    It also holds where the two never differ. For `Different()` it is McNemar's test without correction.

    Args:
        first: `(N,)` whether the first is right (or calls positive) on each patient.
        second: `(N,)` the same of the second.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval; how it goes with p is said in `compare_means`.

    Raises:
        ScanweaveError: Lengths differ, or values other than 0 and 1.
    """
    only_first, only_second, n = _discordant(first, second)
    return _scored((only_first - only_second) / n, _tango(only_first, only_second, n), n, aim, confidence)


def compare_proportions(
    successes: tuple[int, int], sizes: tuple[int, int], aim: Aim | None = None, confidence: float = 0.95
) -> Comparison:
    """Compare two proportions of different patients by the score test of Miettinen & Nurminen (1985).

    Args:
        successes: Patients with the property, in the first group and in the second.
        sizes: Patients in the first group and in the second.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval.

    Raises:
        ScanweaveError: Counts that cannot be, or a group without patients.
    """
    for count, size in zip(successes, sizes, strict=True):
        if size < 1 or not 0 <= count <= size:
            raise ScanweaveError("successes", f"{count} of {size}", "Give 0 ≤ successes ≤ size, and size ≥ 1")
    statistic = _miettinen_nurminen(successes, sizes)
    return _scored(successes[0] / sizes[0] - successes[1] / sizes[1], statistic, sum(sizes), aim, confidence)


def _discordant(first: ArrayLike, second: ArrayLike) -> tuple[int, int, int]:
    """Return how many patients only the first has, only the second, and how many there are."""
    one, other = checked_truths("first", first), checked_truths("second", second)
    if one.shape != other.shape:
        raise ScanweaveError("second", f"{len(other)} patients against {len(one)}", "Give pairs in the same order")
    return int((one & ~other).sum()), int((other & ~one).sum()), len(one)


def _tango(only_first: int, only_second: int, n: int) -> Statistic:
    """Return Tango's score: the variance is taken where the supposed difference holds (his eq. 14 and 15)."""
    estimate = (only_first - only_second) / n

    def statistic(difference: float) -> float:
        if math.isclose(estimate, difference, abs_tol=1e-12):
            return 0.0
        half = (2 * n - only_first + only_second) * difference - only_first - only_second
        product = only_second * difference * (1 - difference)
        rest = (math.sqrt(max(half**2 + 8 * n * product, 0.0)) - half) / (4 * n)
        variance = (2 * rest + difference * (1 - difference)) / n
        return _ratio(estimate - difference, variance)

    return statistic


def _miettinen_nurminen(successes: tuple[int, int], sizes: tuple[int, int]) -> Statistic:
    """Return their score: both shares are fitted where the supposed difference holds, by a cubic (their appendix I).

    Not statsmodels' `score_test_proportions_2indep`: its cubic has a wrong term where the supposed difference is not 0
    (statsmodels issue 10269, open at version 0.15).
    """
    n, total, count = sum(sizes), sum(successes), successes[1]
    estimate = successes[0] / sizes[0] - successes[1] / sizes[1]

    def statistic(difference: float) -> float:
        if math.isclose(estimate, difference, abs_tol=1e-12):
            return 0.0
        square = ((sizes[0] + 2 * sizes[1]) * difference - n - total) / (3 * n)
        linear = ((sizes[1] * difference - n - 2 * count) * difference + total) / (3 * n)
        constant = count * difference * (1 - difference) / (2 * n)
        turn = square**3 - 1.5 * square * linear + constant
        radius = math.copysign(math.sqrt(max(square**2 - linear, 0.0)), turn)
        angle = (math.pi + math.acos(min(max(turn / radius**3, -1.0), 1.0))) / 3 if radius else 0.0
        second = min(max(2 * radius * math.cos(angle) - square, -difference, 0.0), 1 - difference, 1.0)
        first = second + difference
        variance = (first * (1 - first) / sizes[0] + second * (1 - second) / sizes[1]) * n / (n - 1)
        return _ratio(estimate - difference, variance)

    return statistic


def _ratio(above: float, variance: float) -> float:
    return above / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, above)


def _scored(estimate: float, statistic: Statistic, n: int, aim: Aim | None, confidence: float) -> Comparison:
    aim = aim or Different()
    return Comparison(_inverted(estimate, statistic, n, confidence), aim.p(statistic), aim)


def _inverted(estimate: float, statistic: Statistic, n: int, confidence: float) -> Interval:
    """Return the differences that the test does not refuse."""
    reach = float(norm.ppf((1 + checked_fraction("confidence", confidence)) / 2))

    def end(extreme: float) -> float:
        target = math.copysign(reach, -extreme)
        almost = extreme * (1 - 1e-9)
        if abs(statistic(almost)) <= reach:
            return extreme
        return float(brentq(lambda difference: statistic(difference) - target, estimate, almost))

    return Interval(estimate, end(-1.0), end(1.0), n)
