"""Tables as numbers: categories as codes, and the values that learners read. Everything is learnt on training patients.

There is one form of it for all: a matrix of floats, one column of the table a column, in which a category is its place
among the known ones and NaN is what is missing or was never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.wording import nearest

Floats = NDArray[np.float64]

MOST_DEVIATIONS = 5.0
"""Standardised values beyond are drawn in: one extreme patient must not rule a learner."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "<na>"})


class TableError(ScanweaveError, ValueError):
    """A fault of a table or setting; also a `ValueError`, as scikit-learn's users expect."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        names: Their names.
        categories: Known categories of each, in the order of their codes; None for numbers.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, categorical: Sequence[str | int] | Literal["auto"]) -> Columns:
        """Learn which columns hold categories, and which."""
        names = tuple(map(str, table.columns))
        if categorical == "auto":
            chosen = {i for i in range(len(names)) if not is_numeric(table.iloc[:, i])}
        else:
            chosen = set(positions(names, categorical, "categorical_features"))
        return cls(names, tuple(known_categories(table.iloc[:, i]) if i in chosen else None for i in range(len(names))))

    def matrix(self, table: pd.DataFrame) -> Floats:
        """Return the table as floats `(n, d)`.

        Raises:
            TableError: A column of numbers holds text or infinity, or a column holds dates.
        """
        columns = zip(self.names, self.categories, strict=True)
        made = [_codes(table.iloc[:, i], name, known) for i, (name, known) in enumerate(columns)]
        return np.column_stack(made) if made else np.empty((len(table), 0))


def plain_column(column: pd.Series) -> pd.Series:
    """Return a column of the manifest as floats, dates, or text with None."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        return pd.Series(column.to_numpy(dtype=float, na_value=float("nan")))
    if pd.api.types.is_datetime64_any_dtype(kind) or "timestamp" in str(kind):
        return pd.Series(pd.to_datetime(column.astype(object).to_numpy()))
    return pd.Series(column.astype(object).where(column.notna(), None).to_numpy())


def is_numeric(column: pd.Series) -> bool:
    """Tell whether the values are numbers or yes/no, by type."""
    kind = column.dtype
    return bool(pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))


def known_categories(column: pd.Series) -> tuple[str, ...]:
    """Return the categories of a column, sorted as text."""
    texts = _texts(column)
    return tuple(sorted(set(texts[texts.notna()])))


def positions(names: Sequence[str], chosen: Sequence[str | int], field: str) -> list[int]:
    """Return places of columns that are given by name or place.

    Raises:
        TableError: There is no such column.
    """
    found = []
    for one in chosen:
        place = names.index(one) if one in names else one
        if not isinstance(place, int | np.integer) or not -len(names) <= place < len(names):
            raise TableError(field, f"there is no column {one!r}", nearest(str(one), names))
        found.append(int(place) % len(names))
    return found


def _texts(column: pd.Series) -> pd.Series:
    texts = column.map(_text, na_action="ignore").astype(object)
    return texts.where(~texts.map(lambda text: isinstance(text, str) and text.strip().lower() in MISSING))


def _text(value: Any) -> str:
    """Return the text of a category; `1` and `1.0` are one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _codes(column: pd.Series, name: str, known: tuple[str, ...] | None) -> Floats:
    if known is not None:
        codes = {category: code for code, category in enumerate(known)}
        return _texts(column).map(codes).to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise TableError(f"column '{name}'", "holds dates", "Give days since a reference date, such as the first visit")
    try:
        values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise TableError(
            f"column '{name}'", f"holds text where numbers were learnt ({error})", "Give numbers, or nothing"
        ) from error
    if np.isinf(values).any():
        raise TableError(f"column '{name}'", "holds infinity", "Give a number, or nothing where none was measured")
    return values


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scaler of a matrix for learners: numbers scaled, missing ones at the mean and marked, a column a category.

    Attributes:
        categories: Number of categories of each column; 0 for numbers `(d,)`.
        centre: What becomes 0 `(d,)`.
        spread: What becomes 1 `(d,)`.
        gaps: Whether a column has missing values in training, which then are told as 1 in a column of their own `(d,)`.
    """

    categories: NDArray[np.int64]
    centre: Floats
    spread: Floats
    gaps: NDArray[np.bool_]

    @classmethod
    def of(cls, matrix: Floats, columns: Columns, mass: Floats, scaling: Literal["standard", "minmax"]) -> Scaler:
        """Learn from training patients `(n, d)`, each of a mass `(n,)`."""
        there = ~np.isnan(matrix)
        weights = there * mass[:, None]
        total = np.maximum(weights.sum(0), 1e-300)
        filled = np.where(there, matrix, 0.0)
        centre = (weights * filled).sum(0) / total
        spread = np.sqrt((weights * np.where(there, matrix - centre, 0.0) ** 2).sum(0) / total)
        if scaling == "minmax":
            least = np.where(there, matrix, np.inf).min(0)
            most = np.where(there, matrix, -np.inf).max(0)
            centre, spread = np.where(there.any(0), least, 0.0), np.where(there.any(0), most - least, 0.0)
        spread = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(centre)), spread, 1.0)
        sizes = np.array([len(known or ()) for known in columns.categories], dtype=np.int64)
        return cls(sizes, centre, spread, np.asarray(~there.all(0)))

    def __call__(self, matrix: Floats, chosen: Sequence[int]) -> Floats:
        """Return the values that learners read `(n, F)` of the chosen columns."""
        parts = []
        for i in chosen:
            column, missing = matrix[:, i], np.isnan(matrix[:, i])
            if self.categories[i]:
                parts.append((column[:, None] == np.arange(self.categories[i])).astype(np.float64))
            else:
                scaled = np.where(missing, 0.0, (column - self.centre[i]) / self.spread[i])
                parts.append(scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)[:, None])
            if self.gaps[i]:
                parts.append(missing[:, None].astype(np.float64))
        return np.hstack(parts) if parts else np.zeros((len(matrix), 1))
