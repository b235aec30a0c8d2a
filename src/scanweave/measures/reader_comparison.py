"""A model beside readers of the same patients: at its own threshold, and where it is as specific as the reader."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import BoolArray, FloatArray, checked_numbers, checked_outcomes, checked_truths
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point
from scanweave.measures.paired_calls import compare_calls, comparison_columns, interval_columns, with_holm


def compare_with_readers(
    positive: ArrayLike,
    scores: ArrayLike,
    point: OperatingPoint,
    readers: Mapping[str, ArrayLike],
    *,
    cut: float | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare a model with each of several readers, on the patients whom the reader has answered.

    Every row is a patient. The differences are model − reader, with Tango's paired intervals and McNemar's mid-p; each
    kind of p is adjusted after Holm over the readers.

    Args:
        positive: `(N,)`, both classes.
        scores: `(N,)` of the model, high for positive.
        point: Its frozen threshold.
        readers: Answers `(N,)` of each reader; NaN for patients not read, such as those of BI-RADS 0.
        cut: An answer is positive from here on, such as 4 for BI-RADS; None where answers are 0 and 1.
        validation: Outcomes and scores of other patients. On them the lowest threshold is chosen that is at least as
            specific as the reader is here. Without them it is chosen on the patients compared, which flatters the
            model; `matched on` says so.
        confidence: Coverage of the intervals.

    Returns:
        A row a reader: `reader`, `patients` (read), `positives`, `not read`, `matched on`; `reader sensitivity`
        and `reader specificity`; then for `frozen` and `matched` the threshold and, of sensitivity and specificity,
        that of the model, the difference, `p` and `p Holm`. Ends of intervals are columns `… low` and `… high`.
        The columns of `matched` take the threshold as it is: how it would move with other patients is not in them, so
        they are a little too sure. Look whether the specificities do agree.

    Raises:
        ScanweaveError: One class only (also among the patients of one reader), lengths that differ, a score that is not
            finite, or answers other than 0 and 1 without a cut.
    """
    truths, values = checked_outcomes(positive, scores)
    if not readers:
        raise ScanweaveError("readers", "there is none", "Give the answers of one at least")
    rows = []
    for name, answers in readers.items():
        read, called = _reader_calls(name, answers, truths, cut)
        seen, own = truths[read], values[read]
        matched = _as_specific(float((~called[~seen]).mean()), *((seen, own) if validation is None else validation))
        row: dict[str, object] = {"reader": name, "patients": len(seen), "positives": int(seen.sum())}
        row |= {"not read": int((~read).sum()), "matched on": "validation" if validation else "the patients compared"}
        rows.append(row | _against(seen, own, called, {"frozen": point, "matched": matched}, confidence))
    return with_holm(pd.DataFrame(rows))


def _against(
    positive: BoolArray, scores: FloatArray, called: BoolArray, points: Mapping[str, OperatingPoint], confidence: float
) -> dict[str, float]:
    """Return the columns of the reader, and of the model at each threshold."""
    of_reader: dict[str, float] = {}
    of_model: dict[str, float] = {}
    for kind, point in points.items():
        pairs = compare_calls(positive, point.call(scores), called, confidence)
        of_model[f"{kind} threshold"] = point.threshold
        for measure in ("sensitivity", "specificity"):
            of_reader |= interval_columns(f"reader {measure}", pairs[measure].second)
            of_model |= interval_columns(f"{kind} {measure}", pairs[measure].first)
            of_model |= comparison_columns(f"{kind} {measure}", pairs[measure].comparison)
    return of_reader | of_model


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


def _as_specific(specificity: float, positive: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """Return the lowest threshold that is at least as specific on these rows."""
    if specificity > 0:
        return choose_operating_point(positive, scores, "specificity", specificity)
    truths, _ = checked_outcomes(positive, scores)
    return OperatingPoint(-math.inf, "specificity of at least 0", len(truths))
