"""Results of runs as a page shows them: tables with their intervals, and maps of studies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, read_json
from scanweave.framework.run_outputs import KINDS
from scanweave.spreadsheet_cells import read_csv

MOST_BYTES, MOST_ROWS, MOST_COLUMNS, MOST_TABLES = 2**22, 200, 14, 20
"""Largest table that is read [bytes]; what of it, and how many of them, a page shows."""
DIGITS = 4
WHOLE = "over all studies"
"""Table of a result that is kept as JSON alone."""
VALUES = ("value", "mean")
"""Columns to which plain `low` and `high` belong."""
MAPS = "*.nii.gz"
AGAIN = "Load the page again"


class Results(NamedTuple):
    """Hold where results of a run lie.

    Attributes:
        run: Its name.
        verb: That made them.
        folder: Where they lie.
        home: Folder of the run.
    """

    run: str
    verb: str
    folder: Path
    home: Path

    @property
    def title(self) -> str:
        """Such as "rank by runs-1"."""
        return f"{self.verb} by {self.run}"

    def tables(self) -> list[str]:
        """Return the names of its tables."""
        files = sorted(path for path in self.folder.glob("*.csv") if is_plain(path))
        names = [path.stem for path in files if path.stat().st_size <= MOST_BYTES][:MOST_TABLES]
        return [*([WHOLE] if self._rows() else []), *names]

    def _rows(self) -> list[dict[str, Any]]:
        path = self.folder / f"{KINDS[self.verb]}.json"
        found = read_json(path, AGAIN) if is_plain(path) and path.stat().st_size <= MOST_BYTES else {}
        rows = found.get("rows") if isinstance(found, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def table(self, name: str, study: str | None = None) -> dict[str, Any]:
        """Return a table in words: columns, rows, and how many rows are not shown.

        Args:
            name: Of the table.
            study: Whose rows are shown, where the table has rows of studies; None: all.

        Raises:
            ScanweaveError: There is no such table, or it cannot be read.
        """
        if name not in self.tables():
            raise ScanweaveError("table", "there is none of that name", AGAIN)
        table = pd.DataFrame(self._rows()) if name == WHOLE else read_csv(self.folder / f"{name}.csv")
        if study is not None and "study" in table:
            table = table[table["study"].astype(str) == study]
        table = with_intervals(table)
        columns = [str(column) for column in table.columns[:MOST_COLUMNS]]
        rows = [
            [_shown(value) for value in row[:MOST_COLUMNS]] for row in table.head(MOST_ROWS).itertuples(index=False)
        ]
        return {"columns": columns, "rows": rows, "left": max(0, len(table) - MOST_ROWS)}

    def maps(self, study: str) -> list[Path]:
        """Return the maps of a study: files of images in its folder."""
        own = self.folder / study
        if study in ("", ".", "..") or own.parent != self.folder or not own.is_dir() or own.is_symlink():
            return []
        return sorted(path for path in own.glob(MAPS) if is_plain(path))


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which a value and its interval share a cell: `0.83 [0.80, 0.86]`."""
    made = pd.DataFrame(index=table.index)
    ends = {name: (f"{name}_low", f"{name}_high") for name in table.columns}
    ends |= {name: ("low", "high") for name in VALUES if name in table.columns}
    taken = {end for name, pair in ends.items() for end in pair if set(pair) <= set(table.columns)}
    for name in table.columns:
        low, high = ends[name]
        if name in taken:
            continue
        if low not in table.columns or high not in table.columns:
            made[name] = table[name]
            continue
        cells = zip(table[name], table[low], table[high], strict=True)
        made[name] = [f"{_shown(value)} [{_shown(one)}, {_shown(two)}]" for value, one, two in cells]
    return made


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.{DIGITS}g}"
    return "–" if value is None else str(value)
