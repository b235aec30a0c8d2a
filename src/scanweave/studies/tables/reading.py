"""Tables of any kind as frames of text or typed columns: text, Excel, Parquet, and files of SPSS, Stata and SAS."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.studies.tables.parquet_tables import read_parquet_table
from scanweave.studies.tables.statistics_files import READERS, read_statistics_file
from scanweave.studies.tables.text_tables import read_text_table
from scanweave.studies.tables.workbooks import NEW, OLD, read_workbook

TEXT = (".csv", ".tsv", ".txt", ".data")
PARQUET = ".parquet"
_FORMATS = "Give a .csv, .tsv, .parquet, .xlsx, .xls, .sav or .dta file"


@dataclass
class Table:
    """A table as it was read.

    Attributes:
        frame: Text files as text with empty cells as None, others in their types.
        notes: What was mended.
        separator: What stood between the cells of a text file.
    """

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    separator: str | None = None


def is_table(path: Path) -> bool:
    """Tell whether a file is a table by its name; `.gz` may follow a text table's."""
    return _suffix(path) in (*TEXT, PARQUET, *NEW, *OLD, *READERS)


def read_frame(path: Path, sheet: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table: its frame, and notes on what was mended.

    Raises:
        ScanweaveError: As `read_any_table`.
    """
    table = read_any_table(path, sheet)
    return table.frame, table.notes


def read_any_table(path: Path, sheet: str | None = None, most_rows: int | None = None) -> Table:
    """Read a table whose first row is headings.

    Args:
        path: The file.
        sheet: Which sheet of an Excel file; its only one if not given.
        most_rows: Rows to read; None: all.

    Raises:
        ScanweaveError: It cannot be read, is over the budget of a table, has no rows, or two columns of one heading; a
            sheet is named of a file that has none.
    """
    try:
        plain = path.is_file()
        path.stat()
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Check the path") from error
    if not plain:
        raise ScanweaveError(path, "is no plain file", "Name the file of the table")
    suffix, notes, separator = _suffix(path), list[str](), None
    if sheet is not None and suffix not in (*NEW, *OLD):
        raise ScanweaveError("--sheet", f"has no effect: {path.name} is no Excel file", "Leave it out")
    if suffix in TEXT:
        text = read_text_table(path, most_rows)
        notes, separator = text.notes, text.separator
        _check_headings(path, text.header)
        frame = pd.DataFrame(text.rows, columns=text.header, dtype=object)
    elif suffix == PARQUET:
        frame = read_parquet_table(path, notes, most_rows)
    elif suffix in (*NEW, *OLD):
        frame = read_workbook(path, sheet, most_rows)
    elif suffix in READERS:
        frame = read_statistics_file(path, notes, most_rows)
    else:
        raise ScanweaveError(path, f"'{path.suffix}' is no table that can be read", _FORMATS)
    headings = [str(heading) for heading in frame.columns]
    _check_headings(path, headings)
    frame = frame.set_axis(headings, axis=1).dropna(how="all").reset_index(drop=True)
    if frame.empty or not headings:
        raise ScanweaveError(path, "holds no rows below its headings", "Give one row a patient or visit")
    return Table(frame, notes, separator)


def read_rows(path: Path, most_rows: int | None = None) -> tuple[list[dict[str, str]], list[str], str | None]:
    """Read a table as rows of text, whatever its kind, with notes and its separator; cells of nothing are empty.

    Raises:
        ScanweaveError: As `read_any_table`.
    """
    table = read_any_table(path, most_rows=most_rows)
    columns = {heading: [cell_text(cell) for cell in table.frame[heading]] for heading in table.frame}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows], table.notes, table.separator


def cell_text(cell: Any) -> str:
    """Return a cell as it would stand in a text table."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)


def _check_headings(path: Path, headings: list[str]) -> None:
    twice = next((heading for heading in headings if headings.count(heading) > 1), None)
    if twice is not None:
        raise ScanweaveError(path, f"two columns are headed '{twice}'", "Rename one of them")


def _suffix(path: Path) -> str:
    name = path.name.lower()
    inner = Path(name.removesuffix(".gz")).suffix
    return inner if inner in TEXT else path.suffix.lower()
