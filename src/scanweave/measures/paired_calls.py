"""Two who call the same patients positive or negative, and tables of several such pairs with Holm's adjustment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import Comparison, holm
from scanweave.measures.input_checks import BoolArray, checked_truths
from scanweave.measures.proportions import mcnemar, proportion


@dataclass(frozen=True)
class PairedShare:
    """A share, such as the sensitivity, of two who called the same patients.

    Attributes:
        first: Share of the first, with Wilson's interval.
        second: Share of the second, likewise.
        comparison: First − second, with Tango's interval, and the mid-p of McNemar's test.
    """

    first: Interval
    second: Interval
    comparison: Comparison


def compare_calls(
    positive: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95
) -> dict[str, PairedShare]:
    """Compare sensitivity, specificity and accuracy of two who called the same patients.

    Args:
        positive: `(N,)`, both classes.
        first: `(N,)`, whether the first calls a patient positive.
        second: `(N,)`, whether the second does.
        confidence: Coverage of the intervals.

    Raises:
        ScanweaveError: One class only, lengths that differ, or values other than 0 and 1.
    """
    truths = checked_truths("positive", positive)
    if truths.all() or not truths.any():
        kind = "positive" if truths.all() else "negative"
        raise ScanweaveError("positive", f"every patient is {kind}", "Both classes are needed")
    both = [checked_truths(name, calls) for name, calls in (("first", first), ("second", second))]
    if any(calls.shape != truths.shape for calls in both):
        lengths = " and ".join(str(len(calls)) for calls in both)
        raise ScanweaveError("first", f"{lengths} calls of {len(truths)} patients", "Give one a patient, in one order")
    one, other = (calls == truths for calls in both)
    shares = {"sensitivity": truths, "specificity": ~truths, "accuracy": np.ones_like(truths)}
    return {name: _paired(one[rows], other[rows], confidence) for name, rows in shares.items()}


def interval_columns(name: str, found: Interval) -> dict[str, float]:
    """Return an interval as three columns of a table: `name`, `name low` and `name high`."""
    return {name: found.value, f"{name} low": found.low, f"{name} high": found.high}


def comparison_columns(name: str, found: Comparison) -> dict[str, float]:
    """Return a comparison as four columns of a table: those of the difference of `name`, and `name p`."""
    return interval_columns(f"{name} difference", found.difference) | {f"{name} p": found.p}


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with `… p Holm` beside every column `p` or `… p`, adjusted over its rows that have a p-value."""
    adjusted = table.copy()
    for name in [column for column in table if column.split(" ")[-1] == "p"]:
        known = table[name].notna()
        values = pd.Series(np.nan, table.index)
        if known.any():
            values[known] = holm(table.loc[known, name].tolist())
        adjusted.insert(adjusted.columns.get_loc(name) + 1, f"{name} Holm", values)
    return adjusted


def _paired(first: BoolArray, second: BoolArray, confidence: float) -> PairedShare:
    own = [proportion(int(right.sum()), len(right), confidence=confidence) for right in (first, second)]
    return PairedShare(own[0], own[1], mcnemar(first, second, confidence=confidence))
