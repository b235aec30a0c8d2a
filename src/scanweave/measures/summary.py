"""Tables of measures in short: means with intervals over patients, of few patients none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from scanweave.measures.bootstrap import Interval, bootstrap

LEAST_PATIENTS_FOR_INTERVAL = 5
"""Patients below which no interval is told in words: resamples of so few hardly differ."""


def summarise(table: pd.DataFrame, keys: Sequence[str], measures: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Return means with 95 % intervals over patients.

    Args:
        table: One row a study and key: `study`, `patient`, the keys, and a column a measure; NaN: not measured.
        keys: Columns that tell what was measured.
        measures: Columns to summarise; those that the table lacks are left out.
        seed: Of the resampling.

    Returns:
        Rows `*keys, measure, mean, low, high, patients, studies`.
    """
    rows = []
    for key, group in table.groupby(list(keys), sort=False):
        for measure in measures:
            present = group[group[measure].notna()] if measure in group else group[:0]
            if present.empty:
                continue
            found = bootstrap(present[measure], list(present["patient"]), seed=seed)
            interval = {"mean": found.value, "low": found.low, "high": found.high, "patients": found.n}
            which = {**dict(zip(keys, key, strict=True)), "measure": measure}
            rows.append(which | interval | {"studies": present["study"].nunique()})
    return pd.DataFrame(rows)


def row_of(summary: pd.DataFrame, measure: str, **keys: str) -> Interval | None:
    """Return the estimate in the row of these keys, or None where there is no such row."""
    wanted = {**keys, "measure": measure}
    rows = summary[[all(row[name] == value for name, value in wanted.items()) for row in summary.to_dict("records")]]
    return None if rows.empty else estimate(rows.iloc[0].to_dict(), int(rows.iloc[0]["patients"]))


def estimate(row: Mapping[str, Any], patients: int, value: str = "mean") -> Interval:
    """Return the estimate in a row of a summary, without its interval where the patients are few."""
    known = patients >= LEAST_PATIENTS_FOR_INTERVAL and not pd.isna(row["low"])
    low, high = (float(row[name]) if known else float("nan") for name in ("low", "high"))
    return Interval(float(row[value]), low, high, int(patients))


def sureness(patients: Iterable[int]) -> str:
    """Return the words below figures of so many patients each: which of them have intervals."""
    few = {number < LEAST_PATIENTS_FOR_INTERVAL for number in patients}
    if True not in few:
        return "In brackets 95 % intervals, from resampling patients."
    why = f"fewer than {LEAST_PATIENTS_FOR_INTERVAL} patients, of whom resamples hardly differ"
    return f"No intervals: {why}." if few == {True} else f"In brackets 95 % intervals over patients; none of {why}."
