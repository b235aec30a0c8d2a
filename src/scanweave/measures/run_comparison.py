"""Two runs on the same patients, over several outcomes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.delong import auroc_interval, compare_aurocs
from scanweave.measures.input_checks import checked_numbers, checked_truths
from scanweave.measures.operating_points import OperatingPoint
from scanweave.measures.paired_calls import compare_calls, comparison_columns, interval_columns, with_holm


def compare_runs(
    positive: Mapping[str, ArrayLike],
    first: Mapping[str, ArrayLike],
    second: Mapping[str, ArrayLike],
    points: Mapping[str, tuple[OperatingPoint, OperatingPoint]],
    *,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare two runs on the same patients: AUROCs, and what each calls at its own frozen threshold.

    Every row is a patient. The differences are first − second: of AUROCs with DeLong's paired interval and test, of
    sensitivity, specificity and accuracy with Tango's interval and McNemar's mid-p. Each kind of p is adjusted after
    Holm over the outcomes.

    Args:
        positive: Of each outcome, truths `(N,)`; NaN where it is not known, which leaves the patient out of it.
        first: Of each outcome, scores `(N,)` of the first run, high for positive.
        second: The same of the second run.
        points: Of each outcome, the thresholds of the two, chosen on other patients.
        confidence: Coverage of the intervals.

    Returns:
        A row an outcome: `outcome`, `patients` (whose truth is known), `positives`; then for AUROC, sensitivity,
        specificity and accuracy that of the `first` and of the `second`, the difference, `p` and `p Holm`. Ends of
        intervals are columns `… low` and `… high`. p is NaN where the data cannot tell; such outcomes do not count for
        Holm.

    Raises:
        ScanweaveError: Outcomes differ, one has one class only, lengths differ, or a score is not finite.
    """
    if not positive or any(set(given) != set(positive) for given in (first, second, points)):
        raise ScanweaveError(
            "points", "outcomes differ, or there is none", "Give truths, scores and points of the same"
        )
    rows = [_row(name, positive[name], first[name], second[name], points[name], confidence) for name in positive]
    return with_holm(pd.DataFrame(rows))


def _row(
    name: str,
    positive: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    points: tuple[OperatingPoint, OperatingPoint],
    confidence: float,
) -> dict[str, object]:
    given, one, other = (checked_numbers(name, values) for values in (positive, first, second))
    if given.ndim != 1 or not given.shape == one.shape == other.shape:
        reason = f"truths of shape {given.shape}, scores of {one.shape} and {other.shape}"
        raise ScanweaveError(name, reason, "Give one a patient, in one order")
    known = ~np.isnan(given)
    truths, one, other = checked_truths(name, given[known]), one[known], other[known]
    if truths.all() or not truths.any():
        raise ScanweaveError(name, f"all {len(truths)} patients are of one class", "Leave this outcome out, and say so")
    row: dict[str, object] = {"outcome": name, "patients": len(truths), "positives": int(truths.sum())}
    row |= interval_columns("first AUROC", auroc_interval(truths, one, confidence=confidence))
    row |= interval_columns("second AUROC", auroc_interval(truths, other, confidence=confidence))
    row |= comparison_columns("AUROC", compare_aurocs(truths, one, other, confidence=confidence))
    called = points[0].call(one), points[1].call(other)
    for measure, pair in compare_calls(truths, called[0], called[1], confidence).items():
        row |= interval_columns(f"first {measure}", pair.first)
        row |= interval_columns(f"second {measure}", pair.second)
        row |= comparison_columns(measure, pair.comparison)
    return row
