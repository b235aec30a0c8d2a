"""Files of SPSS, Stata and SAS: values with their labels, through pyreadstat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.errors import ScanweaveError, reason_of
from scanweave.external import require
from scanweave.studies.tables.size_budget import BYTES_A_CELL, Budget

GROUP = "tables"
READERS = {
    ".sav": "read_sav",
    ".zsav": "read_sav",
    ".por": "read_por",
    ".dta": "read_dta",
    ".sas7bdat": "read_sas7bdat",
    ".xpt": "read_xport",
}
"""Functions of pyreadstat by the suffix of what they read."""
_ADVICE = "Save it again, or give it as .csv or .parquet"


def read_statistics_file(path: Path, notes: list[str], most_rows: int | None = None) -> pd.DataFrame:
    """Read a file of SPSS, Stata or SAS; a value with a label becomes it where all values of a column have one.

    Args:
        path: The file.
        notes: Takes what is to be known.
        most_rows: Rows to read; None: all.

    Raises:
        ScanweaveError: pyreadstat is not installed, or the file is damaged or over the budget.
    """
    pyreadstat = require("pyreadstat", GROUP)
    read, budget = getattr(pyreadstat, READERS[path.suffix.lower()]), Budget(path)
    try:
        _, about = read(str(path), metadataonly=True)
        rows = about.number_rows if about.number_rows is not None and about.number_rows >= 0 else None
        if rows is None:  # not told: then no more than the file can hold
            rows = _counted(read, path, budget, about)
        rows = rows if most_rows is None else min(rows, most_rows)
        widths = getattr(about, "variable_storage_width", {}) or {}
        text = sum(widths.get(name, 0) for name, kind in about.readstat_variable_types.items() if kind == "string")
        budget.check(rows * about.number_columns, rows * text)
        frame, about = read(str(path), row_limit=most_rows or 0)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, OSError, ValueError, OverflowError) as error:
        words = reason_of(error)
        raise ScanweaveError(path, f"cannot be read ({words})", _ADVICE) from error
    return pd.DataFrame({name: _labelled(frame[name], about, notes) for name in frame})


def _counted(read: Any, path: Path, budget: Budget, about: Any) -> int:
    """Rows of a file that does not tell how many: as many as the budget allows are tried."""
    most = max(1, budget.most // max(1, about.number_columns * BYTES_A_CELL))
    frame, _ = read(str(path), row_limit=most + 1, usecols=about.column_names[:1])
    return len(frame)


def _labelled(column: pd.Series, about: Any, notes: list[str]) -> pd.Series:
    labels = about.variable_value_labels.get(str(column.name), {})
    values = set(column.dropna().unique())
    if not labels or not values:
        return column
    if values <= set(labels):
        return column.map(labels).astype(object)
    if values & set(labels):
        named = ", ".join(f"{value:g} = {labels[value]}" for value in sorted(values & set(labels), key=str)[:3])
        notes.append(f"{column.name}: some of its values have labels ({named}); say missing:VALUE if they are none")
    return column
