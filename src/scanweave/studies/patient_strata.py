"""Values of each patient of a cohort, by which splits are stratified or grouped, and labelled studies drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.studies.columns import columns_of, parse_column
from scanweave.studies.label_values import certain
from scanweave.wording import nearest

MOST_VALUES = 10
"""Different numbers above which a column is cut into quarters, and words above which it is refused as a stratum."""
QUARTERS = (0.25, 0.5, 0.75)
ABSENT = "absent"


def find_heading(frame: pd.DataFrame, name: str) -> str:
    """Find the column that is meant by `name`: a heading such as `label:grade`, or a name such as `grade`.

    `label` alone is the only label of the cohort.

    Raises:
        ScanweaveError: There is none, or several.
    """
    if name in frame:
        return name
    there = [column for column in columns_of(frame.columns) if frame[column.heading].notna().any()]
    fits = [column.heading for column in there if column.name == name]
    if name == "label":
        fits = [column.heading for column in there if column.kind.name == "label"]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ScanweaveError("cohort", f"'{name}' could be {' or '.join(fits)}", "Name one of them")
    known = [column.heading for column in there if column.kind.name in ("label", "table")]
    raise ScanweaveError("cohort", f"has no column '{name}'", nearest(name, known))


def patient_values(frame: pd.DataFrame, names: Sequence[str], *, coarse: bool) -> dict[str, str]:
    """Return what each patient is like by these columns, as one text.

    A patient with several studies has the value of most of them, of equally many the highest; none at all is a value of
    its own, as is that a scan or another file is there.

    Args:
        frame: The manifest of a cohort.
        names: Columns, as `find_heading` takes them.
        coarse: Whether columns of many numbers are cut into quarters, and of many words refused: for strata.

    Raises:
        ScanweaveError: There is no such column, or it has too many values.
    """
    parts = [_of_patients(frame, find_heading(frame, name), coarse) for name in names]
    return {patient: " · ".join(part[patient] for part in parts) for patient in parts[0]}


def study_values(frame: pd.DataFrame, name: str) -> list[str | None]:
    """Return the value of each study in a column, as `find_heading` takes it; None where it is absent.

    Raises:
        ScanweaveError: There is no such column.
    """
    return _simple(frame, find_heading(frame, name), coarse=False)


def _of_patients(frame: pd.DataFrame, heading: str, coarse: bool) -> dict[str, str]:
    values = _simple(frame, heading, coarse)
    patients = frame["patient"].astype(str)
    counts: dict[str, dict[str, int]] = {}
    for patient, value in zip(patients, values, strict=True):
        own = counts.setdefault(patient, {})
        if value is not None:
            own[value] = own.get(value, 0) + 1
    return {
        patient: max(own, key=lambda value: (own[value], value)) if own else ABSENT for patient, own in counts.items()
    }


def _simple(frame: pd.DataFrame, heading: str, coarse: bool) -> list[str | None]:
    """Return the values of a column as few texts."""
    series: pd.Series = certain(frame[heading])
    column = parse_column(heading)
    if column is not None and column.kind.files:
        return [None if value is None else "there" for value in series]
    there = series.dropna()
    if coarse and there.nunique() > MOST_VALUES:
        if not all(isinstance(value, int | float) for value in there):
            reason = f"holds {there.nunique()} different values"
            raise ScanweaveError(heading, f"{reason}, too many to stratify by", "Choose one of few values")
        edges = np.quantile(there.to_numpy(dtype=float), QUARTERS)
        return [None if value is None else f"quarter {int(np.searchsorted(edges, value)) + 1}" for value in series]
    return [None if value is None else str(value) for value in series]


def draw_labelled(frame: pd.DataFrame, heading: str, k: int, seed: int) -> list[str]:
    """Return the names of `k` studies that have a value in the column, in proportion to its values.

    The draw of fewer is part of the draw of more, so that a curve over k compares like with like.

    Raises:
        ScanweaveError: Fewer studies have one.
    """
    values = _simple(frame, heading, coarse=True)
    rows = [row for row, value in enumerate(values) if value is not None]
    if not 1 <= k <= len(rows):
        raise ScanweaveError(heading, f"{k} of {len(rows)} labelled studies cannot be drawn", "Ask for fewer, or for 1")
    by_value: dict[str, list[int]] = {}
    for row in np.random.default_rng([seed, len(rows)]).permutation(rows).tolist():
        by_value.setdefault(str(values[row]), []).append(row)
    turns = [((place + 0.5) / len(own), value, row) for value, own in by_value.items() for place, row in enumerate(own)]
    return [str(frame["study"].iloc[row]) for _, _, row in sorted(turns)[:k]]
