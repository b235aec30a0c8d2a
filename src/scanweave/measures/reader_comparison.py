"""A model beside readers of the same patients: at its own threshold, and where it is as specific as the reader."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import BoolArray, checked_numbers, checked_outcomes, checked_truths
from scanweave.measures.matched_specificity import MatchedReading
from scanweave.measures.operating_points import OperatingPoint
from scanweave.measures.paired_calls import compare_calls, comparison_columns, interval_columns, with_holm

MEASURES = ("sensitivity", "specificity")


def compare_with_readers(
    positive: ArrayLike,
    scores: ArrayLike,
    point: OperatingPoint,
    readers: Mapping[str, ArrayLike],
    *,
    cut: float | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    seed: int,
    repeats: int = 1000,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare a model with each of several readers, on the patients whom the reader has answered.

    Every row is a patient. Differences are model − reader. At the frozen threshold they have Tango's paired interval
    and McNemar's mid-p; at the matched one, interval and p from resampling, since there McNemar's errs too often (see
    `MatchedReading.compare`). Each kind of p is adjusted after Holm over the readers.

    Args:
        positive: `(N,)`, both classes.
        scores: `(N,)` of the model, high for positive.
        point: Its frozen threshold.
        readers: Answers `(N,)` of each reader; NaN for patients not read, such as those of BI-RADS 0.
        cut: An answer is positive from here on, such as 4 for BI-RADS; None where answers are 0 and 1.
        validation: Outcomes and scores of other patients. On them the lowest threshold is chosen that is at least as
            specific as the reader is here. Without them it is chosen on the patients compared, which flatters the
            model; `matched on` says so.
        seed: Of the resampling at the matched threshold.
        repeats: Number of resamples.
        confidence: Coverage of the intervals.

    Returns:
        A row a reader: `reader`, `patients` (read), `positives`, `not read`, `matched on`; `reader sensitivity`
        and `reader specificity`; then for `frozen` and `matched` the threshold and, of sensitivity and specificity,
        that of the model (with Wilson's interval), the difference, `p` and `p Holm`. Ends of intervals are columns
        `… low` and `… high`. Where the differences never vary, interval and p of `matched` are NaN.

    Raises:
        ScanweaveError: One class only (also among the patients of one reader), lengths that differ, a score that is not
            finite, or answers other than 0 and 1 without a cut.
    """
    truths, values = checked_outcomes(positive, scores)
    checked = None if validation is None else checked_outcomes(*validation)
    if not readers:
        raise ScanweaveError("readers", "there is none", "Give the answers of one at least")
    rows = []
    for name, answers in readers.items():
        read, called = _reader_calls(name, answers, truths, cut)
        reading = MatchedReading(truths[read], values[read], called, checked)
        row: dict[str, object] = {"reader": name, "patients": len(called), "positives": int(reading.positive.sum())}
        row |= {"not read": int((~read).sum()), "matched on": "validation" if checked else "the patients compared"}
        rows.append(row | _frozen(reading, point, confidence) | _matched(reading, seed, repeats, confidence))
    return with_holm(pd.DataFrame(rows))


def _frozen(reading: MatchedReading, point: OperatingPoint, confidence: float) -> dict[str, float]:
    """Return the columns of the reader, then those of the model at its own threshold."""
    pairs = compare_calls(reading.positive, point.call(reading.scores), reading.called, confidence)
    columns: dict[str, float] = {}
    for measure in MEASURES:
        columns |= interval_columns(f"reader {measure}", pairs[measure].second)
    columns["frozen threshold"] = point.threshold
    for measure in MEASURES:
        columns |= interval_columns(f"frozen {measure}", pairs[measure].first)
        columns |= comparison_columns(f"frozen {measure}", pairs[measure].comparison)
    return columns


def _matched(reading: MatchedReading, seed: int, repeats: int, confidence: float) -> dict[str, float]:
    """Return the columns of the model where it is as specific as the reader."""
    point = reading.point()
    compared = reading.compare(seed=seed, repeats=repeats, confidence=confidence)
    rates = point.confusion(reading.positive, reading.scores).rates(confidence=confidence)
    columns = {"matched threshold": point.threshold}
    for measure in MEASURES:
        columns |= interval_columns(f"matched {measure}", rates[measure])
        columns |= comparison_columns(f"matched {measure}", compared[measure])
    return columns


def _reader_calls(name: str, answers: ArrayLike, truths: BoolArray, cut: float | None) -> tuple[BoolArray, BoolArray]:
    """Return which patients `(N,)` the reader has answered, and which of these are called positive."""
    given = checked_numbers(name, answers)
    if given.shape != truths.shape:
        reason = f"answers of shape {given.shape} for {len(truths)} patients"
        raise ScanweaveError(name, reason, "Give one a patient, NaN where there is none")
    read = ~np.isnan(given)
    for kind, rows in (("positive", truths), ("negative", ~truths)):
        if not (read & rows).any():
            raise ScanweaveError(name, f"has read no {kind} patient", "Leave this reader out, and say so")
    return read, checked_truths(name, given[read]) if cut is None else np.asarray(given[read] >= cut)
