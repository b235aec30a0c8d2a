"""Calibration of probabilities: of patients given 20 %, one in five should be positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.input_checks import FloatArray, checked_classes, checked_shares, checked_truths
from scanweave.measures.proportions import proportion

Spacing = Literal["width", "mass"]


@dataclass(frozen=True)
class Bin:
    """Rows of about the same predicted probability.

    Attributes:
        predicted: Mean of what was predicted.
        observed: Share that was positive, with Wilson's interval and the number of rows.
    """

    predicted: float
    observed: Interval


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


def _inner_edges(shares: FloatArray, bins: int, spacing: Spacing) -> FloatArray:
    levels = np.linspace(0, 1, bins + 1)[1:-1]
    if spacing == "width":
        return levels
    if spacing == "mass":
        return np.unique(np.quantile(shares, levels))
    raise ScanweaveError("spacing", f"{spacing} is unknown", "Choose width or mass")
