"""Sheets of Excel files, new (.xlsx, .xlsm) and old (.xls), as rows of values."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.errors import ScanweaveError, reason_of
from scanweave.external import require
from scanweave.studies.tables.size_budget import Budget
from scanweave.wording import nearest

GROUP = "tables"
"""Optional group of scanweave that installs the readers."""
NEW, OLD = (".xlsx", ".xlsm"), (".xls",)
MOST_ROWS = 2**20
"""Of a sheet in Excel."""
_FORMATS = "Save it again, or give it as .csv or .parquet"
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that openpyxl and xlrd raise on damaged files."""


def read_workbook(path: Path, sheet: str | None = None, most_rows: int | None = None) -> pd.DataFrame:
    """Read a sheet with headings in its first row.

    Args:
        path: The file.
        sheet: Its name; None: the only one.
        most_rows: Rows to read; None: all.

    Raises:
        ScanweaveError: It cannot be read, has several sheets or no such one, no headings, or is over the budget.
    """
    rows = _new(path, sheet) if path.suffix.lower() in NEW else _old(path, sheet)
    budget, kept = Budget(path), list[list[Any]]()
    try:
        for row in rows:
            cells = [_plain(cell) for cell in row]
            while cells and cells[-1] is None:
                cells.pop()
            budget.take(len(row), sum(len(cell) for cell in cells if isinstance(cell, str)))
            if cells:
                kept.append(cells)
            if most_rows is not None and len(kept) > most_rows:
                break
    except _FAULTS as error:
        raise _unreadable(path, error) from error
    if not kept:
        raise ScanweaveError(path, "is empty", "Give headings in the first row, one row a patient or visit")
    return _framed(path, kept, budget)


def _framed(path: Path, rows: Sequence[list[Any]], budget: Budget) -> pd.DataFrame:
    width = max(map(len, rows))
    budget.check(width * len(rows))
    header = [_heading(cell) for cell in rows[0]] + [""] * (width - len(rows[0]))
    if header.count("") > width / 2 or (
        len(header) > 1 and sum(isinstance(c, int | float) for c in rows[0]) > width / 2
    ):
        raise ScanweaveError(path, "its first row holds no headings", "Remove what stands above them")
    body = [row + [None] * (width - len(row)) for row in rows[1:]]
    columns = [k for k in range(width) if header[k] or any(row[k] is not None for row in body)]
    data = {at: pd.Series([row[k] for row in body], dtype=object) for at, k in enumerate(columns)}
    return pd.DataFrame(data).set_axis([header[k] for k in columns], axis=1)


def _heading(cell: Any) -> str:
    text = "" if cell is None else str(cell).strip()
    return "" if text.startswith("Unnamed:") else text  # what pandas writes above a column without a heading


def _plain(cell: Any) -> Any:
    """A value; whole floats as whole numbers, as a sheet shows them."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else None if cell != cell else cell
    return None if cell is pd.NaT else cell


def _new(path: Path, sheet: str | None) -> Iterator[Sequence[Any]]:
    openpyxl = require("openpyxl", GROUP)
    with path.open("rb") as stream:  # openpyxl leaves a damaged file open
        with zipfile.ZipFile(stream) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > Budget(path).most:
            step = "Keep the sheet and rows that are needed"
            raise ScanweaveError(path, f"unpacks to {claimed / 2**20:.0f} MiB", step)
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        page = book[_chosen(path, [one.title for one in book.worksheets], sheet)]
        page.reset_dimensions()  # they may claim more than there is
        for number, row in enumerate(page.iter_rows(values_only=True), 1):
            if number > MOST_ROWS:  # a row that says it is the two-thousand-millionth would be waited for
                raise ScanweaveError(path, f"claims more than {MOST_ROWS} rows, which no sheet has", _FORMATS)
            yield row


def _old(path: Path, sheet: str | None) -> Iterator[Sequence[Any]]:
    xlrd = require("xlrd", GROUP)
    Budget(path).check(0, path.stat().st_size)
    try:
        with xlrd.open_workbook(path, logfile=io.StringIO(), on_demand=True, ragged_rows=True) as book:
            page = book.sheet_by_name(_chosen(path, book.sheet_names(), sheet))
            for row in range(page.nrows):
                cells = zip(page.row_types(row), page.row_values(row), strict=True)
                yield [_old_value(xlrd, kind, value, book.datemode) for kind, value in cells]
    except (*_FAULTS, xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        raise _unreadable(path, error) from error


def _old_value(xlrd: Any, kind: int, value: Any, first_year: int) -> Any:
    """A cell of an .xls file: its date, truth, number or text; errors as nothing."""
    if kind == xlrd.XL_CELL_DATE:
        try:
            return xlrd.xldate_as_datetime(value, first_year)
        except (ValueError, OverflowError):
            return None
    if kind == xlrd.XL_CELL_BOOLEAN:
        return bool(value)
    return value if kind in (xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_TEXT) else None


def _chosen(path: Path, names: Sequence[str], sheet: str | None) -> str:
    if sheet is None and len(names) > 1:
        raise ScanweaveError(path, f"has the sheets {', '.join(names)}", "Name one by --sheet")
    if sheet is not None and sheet not in names:
        raise ScanweaveError(path, f"has no sheet '{sheet}'", nearest(sheet, names))
    if not names:
        raise ScanweaveError(path, "has no sheet", _FORMATS)
    return sheet or names[0]


def _unreadable(path: Path, error: BaseException) -> ScanweaveError:
    words = reason_of(error)
    return ScanweaveError(path, f"not a readable Excel file ({words})", _FORMATS)
