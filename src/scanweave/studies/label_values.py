"""Labels as numbers: binary, classes, several findings at once; uncertain and absent are two different things.

A finding is a label of 0, 1 and perhaps −1, which CheXpert (Irvin et al., AAAI 2019) writes where the report is unsure.
An empty cell is absent: nobody said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.columns import columns_of
from scanweave.wording import listed, nearest, studies

UNCERTAIN = -1
"""Value of an uncertain finding."""
Uncertain = Literal["absent", "positive", "negative"]
LabelKind = Literal["binary", "classes", "numbers", "one class", "none"]
MOST_CLASSES = 50
"""Values above which a label of numbers is no label of classes."""


@dataclass(frozen=True)
class LabelSummary:
    """Summary of the values that a label of a cohort holds.

    Attributes:
        name: Its name.
        kind: `"binary"` (two values), `"classes"` (several), `"numbers"`, `"one class"` or `"none"`.
        classes: Its values, sorted; none of numbers.
        counts: How many studies have each of them.
        uncertain: How many studies have it as uncertain.
        absent: How many lack it.
    """

    name: str
    kind: LabelKind
    classes: tuple[Any, ...]
    counts: tuple[int, ...]
    uncertain: int
    absent: int

    def line(self) -> str:
        """Describe it in words: `"grade: 0 in 12 studies · 1 in 30, 4 uncertain (−1), 7 absent"`."""
        numbers = [studies(number) if place == 0 else number for place, number in enumerate(self.counts)]
        there = " · ".join(f"{one} in {number}" for one, number in zip(self.classes, numbers, strict=True))
        parts = [there or self.kind]
        parts += [f"{self.uncertain} uncertain (−1)"] if self.uncertain else []
        parts += [f"{self.absent} absent"] if self.absent else []
        return f"{self.name}: {', '.join(parts)}"


def summarise_label(frame: pd.DataFrame, name: str) -> LabelSummary:
    """Return what the label `name` of a cohort's manifest holds.

    Raises:
        ScanweaveError: The cohort has no such label.
    """
    values = _column(frame, name)
    known = certain(values).dropna()
    counts = known.value_counts()
    classes = sorted(counts.index.tolist(), key=lambda value: (isinstance(value, str), value))
    number = isinstance(classes[0], int | float) if classes else False
    kind: LabelKind = "none" if not classes else "one class" if len(classes) == 1 else "classes"
    if len(classes) == 2:
        kind = "binary"
    elif number and (
        len(classes) > MOST_CLASSES or any(isinstance(value, float) and not value.is_integer() for value in classes)
    ):
        kind = "numbers"
    shown = () if kind == "numbers" else tuple(classes)
    uncertain = int(values.notna().sum() - len(known))
    return LabelSummary(
        name, kind, shown, tuple(int(counts[one]) for one in shown), uncertain, int(values.isna().sum())
    )


def certain(values: pd.Series) -> pd.Series:
    """Return the values of a label with uncertain ones as absent: −1 where all else is 0 or 1."""
    there = zip(values.astype(object), values.notna(), strict=True)
    plain = pd.Series([_whole(value) if known else None for value, known in there], index=values.index, dtype=object)
    if not is_finding(plain):
        return plain
    return plain.where(plain.notna() & (plain != UNCERTAIN), None)


def _whole(value: Any) -> Any:
    """Return a whole number as such, so that CheXpert's 1.0 reads 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_finding(values: pd.Series) -> bool:
    """Tell whether a label is a finding of which some are uncertain: −1 among 0 and 1, and nothing else."""
    there = set(values.dropna().unique())
    return UNCERTAIN in there and there <= {UNCERTAIN, 0, 1}


def findings_matrix(frame: pd.DataFrame, names: Sequence[str], uncertain: Uncertain = "absent") -> NDArray[np.float64]:
    """Return several findings of each study as 0, 1 or NaN (absent), `(N, K)`.

    Args:
        frame: The manifest of N studies.
        names: Labels of 0, 1 and −1, K of them.
        uncertain: What −1 counts as (CheXpert's U-Ignore, U-Ones and U-Zeroes).

    Raises:
        ScanweaveError: The cohort has no such label, or it holds something else.
    """
    made = np.full((len(frame), len(names)), np.nan)
    for place, name in enumerate(names):
        values = _column(frame, name)
        if not set(values.dropna().unique()) <= {UNCERTAIN, 0, 1}:
            raise ScanweaveError(f"label:{name}", "holds other values than 0, 1 and −1", "Choose a finding")
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        stand_in = {"absent": np.nan, "positive": 1.0, "negative": 0.0}[uncertain]
        made[:, place] = np.where(numbers == UNCERTAIN, stand_in, numbers)
    return made


def class_numbers(frame: pd.DataFrame, name: str, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the place in `classes` of each study's label, `(N,)`; −1 where it is absent or uncertain.

    Raises:
        ScanweaveError: A study has a class that is not among them.
    """
    known = {one: place for place, one in enumerate(classes)}
    values = certain(_column(frame, name)) if UNCERTAIN not in known else _column(frame, name)
    there = values.notna().to_numpy()
    strange = next((value for value in values[there].unique() if value not in known), None)
    if strange is not None:
        raise ScanweaveError(f"label:{name}", f"has the class {strange!r}", f"Known are {listed(map(str, classes))}")
    return np.array([known[value] if is_there else -1 for value, is_there in zip(values, there, strict=True)])


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    heading = f"label:{name}"
    if heading not in frame:
        known = [column.name for column in columns_of(frame.columns, "label")]
        raise ScanweaveError("cohort", f"has no label '{name}'", nearest(name, known))
    return frame[heading]
