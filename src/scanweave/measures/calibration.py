"""Calibration of probabilities: of patients given 20 %, one in five should be positive."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.input_checks import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_classes,
    checked_fraction,
    checked_names,
    checked_outcomes,
    checked_shares,
    checked_truths,
)
from scanweave.measures.proportions import proportion

Spacing = Literal["width", "mass"]
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Of what may happen, where a logarithm is taken, as in scikit-learn's log loss."""


@dataclass(frozen=True)
class Bin:
    """Rows of about the same predicted probability.

    Attributes:
        predicted: Mean of what was predicted.
        observed: Share that was positive, with Wilson's interval and the number of rows.
    """

    predicted: float
    observed: Interval


@dataclass(frozen=True)
class Recalibration:
    """Change of the probabilities that would make them right.

    Attributes:
        slope: Of the logits; 1 is right.
        intercept: In the large, at a slope of 1; 0 is right.
    """

    slope: Interval
    intercept: Interval


def reliability(
    positive: ArrayLike, probabilities: ArrayLike, bins: int = 10, spacing: Spacing = "width"
) -> tuple[Bin, ...]:
    """Return the reliability curve: what was observed where what was predicted.

    Args:
        positive: `(N,)`.
        probabilities: `(N,)` of being positive.
        bins: How many at most; those without a row are left out.
        spacing: `width`: 0 to 1 in equal steps; `mass`: about as many rows in each, equal probabilities together.

    Returns:
        Bins from low to high. Their intervals take every row for a patient.

    Raises:
        ScanweaveError: Lengths differ, a probability outside 0 to 1, no bin, or an unknown spacing.
    """
    truths = checked_truths("positive", positive)
    shares = checked_shares("probabilities", probabilities, len(truths))
    if bins < 1:
        raise ScanweaveError("bins", f"{bins}", "Give at least 1")
    place = np.digitize(shares.round(9), _inner_edges(shares, bins, spacing).round(9))  # 0.7 is 0.7, however computed
    inside = [place == number for number in np.unique(place)]
    return tuple(
        Bin(float(shares[rows].mean()), proportion(int(truths[rows].sum()), int(rows.sum()))) for rows in inside
    )


def calibration_error(
    classes: ArrayLike, probabilities: ArrayLike, bins: int = 10, spacing: Spacing = "width"
) -> float:
    """Return the expected calibration error, the mean over rows of |observed − predicted| (Naeini et al. 2015).

    Of `probabilities (N,)` it is that of class 1; of `(N, C)` that of the class with the highest probability, which
    should be right as often as its probability says (Guo et al. 2017, eq. 3).

    It is above 0 even for perfect probabilities, by up to 0.4 √(bins / N), so compare it only at the same number of
    rows and bins, and do not bootstrap it: every resample adds that excess again.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        probabilities: `(N,)` or `(N, C)`.
        bins: How many at most.
        spacing: `width` or `mass`, as in `reliability`.

    Raises:
        ScanweaveError: As `checks.checked_classes` and `reliability`.
    """
    numbers, shares = checked_classes(classes, probabilities)
    if np.ndim(probabilities) == 1:
        found = reliability(numbers, shares[:, 1], bins, spacing)
    else:
        found = reliability(shares.argmax(axis=1) == numbers, shares.max(axis=1), bins, spacing)
    return sum(one.observed.n * abs(one.observed.value - one.predicted) for one in found) / len(numbers)


def recalibration(
    positive: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
) -> Recalibration:
    """Return calibration slope and intercept, by logistic recalibration (Cox 1958; TRIPOD, item 16).

    The slope is b of logit P(positive) = a + b logit p: 1 is right, below 1 the probabilities are too extreme, as those
    of overfitted models are, above 1 too cautious. The intercept is a with b held at 1, *calibration in the large*: 0
    is right, above 0 the probabilities are too low on the whole (Steyerberg 2019, section 15.3).

    Args:
        positive: `(N,)`, both outcomes.
        probabilities: `(N,)` of being positive; 0 and 1, which have no logit, count as `LEAST_PROBABILITY` off.
        patients: The patient of each row, whose rows are taken together in the sandwich variance; every row its own,
            and the variance that of maximum likelihood, if not given.
        confidence: Coverage of the intervals, which are Wald's.

    Returns:
        NaN with NaN ends where it cannot be told: the slope if all probabilities are equal or the outcomes do not
        overlap in them; the ends if one patient alone leaves them unknown.

    Raises:
        ScanweaveError: One outcome only, lengths that differ, a row without a patient, or a probability outside 0 to 1.
    """
    truths, _ = checked_outcomes(positive, probabilities)
    shares = checked_shares("probabilities", probabilities, len(truths))
    owner = None if patients is None else checked_names("patients", patients, len(truths))
    logits = logit(shares.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    one = np.ones(len(truths))
    return Recalibration(
        _coefficient(truths, np.stack([logits, one], axis=1), None, owner, confidence),
        _coefficient(truths, one[:, None], logits, owner, confidence),
    )


def _coefficient(
    truths: BoolArray, design: FloatArray, offset: FloatArray | None, owner: IntArray | None, confidence: float
) -> Interval:
    """Return the first coefficient of a logistic regression on `design (N, P)`, with its interval."""
    checked_fraction("confidence", confidence)
    n = len(truths) if owner is None else int(owner.max()) + 1
    unknown = Interval(float("nan"), float("nan"), float("nan"), n)
    column = design[:, 0]
    if design.shape[1] > 1 and not _overlap(column[truths], column[~truths]):
        return unknown
    options = {"cov_type": "cluster", "cov_kwds": {"groups": owner}} if owner is not None and n > 1 else {}
    model = GLM(truths.astype(np.float64), design, family=Binomial(), offset=offset)
    try:
        found = model.fit(**options)
    except (PerfectSeparationError, np.linalg.LinAlgError):
        return unknown
    low, high = found.conf_int(1 - confidence)[0]
    return Interval(float(found.params[0]), float(low), float(high), n) if n > 1 else unknown


def _overlap(ones: FloatArray, others: FloatArray) -> bool:
    """Tell whether neither outcome lies all above the other: else the best slope is infinite, or any will do."""
    return bool(ones.min() < others.max() and others.min() < ones.max())


def _inner_edges(shares: FloatArray, bins: int, spacing: Spacing) -> FloatArray:
    levels = np.linspace(0, 1, bins + 1)[1:-1]
    if spacing == "width":
        return levels
    if spacing == "mass":
        return np.unique(np.quantile(shares, levels))
    raise ScanweaveError("spacing", f"{spacing} is unknown", "Choose width or mass")
