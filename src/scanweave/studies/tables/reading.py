"""CSV, TSV, Parquet and Excel files as frames of text or typed columns."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError
from scanweave.external import require

TEXT = (".csv", ".tsv", ".txt", ".data")
EXCEL = (".xlsx", ".xlsm")
LIMIT = 4 * 2**30
"""Bytes of a file above which it is refused: a clinical table is smaller."""
SAMPLE = 2**16
"""Characters by which the separator is told."""
_FORMATS = "Give a .csv, .tsv, .parquet or .xlsx file"


def is_table(path: Path) -> bool:
    """Tell whether a file is a table by its name; `.gz` may follow a text table's."""
    return _suffix(path) in (*TEXT, ".parquet", *EXCEL)


def read_frame(path: Path, sheet: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table.

    Args:
        path: The file.
        sheet: Which sheet of an Excel file; its only one if not given.

    Returns:
        The table, text files as text with empty cells as None, and notes on what was mended.

    Raises:
        ScanweaveError: It cannot be read, or has no rows, or headings stand there twice.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Check the path") from error
    if size > LIMIT:
        raise ScanweaveError(path, f"{size / 2**30:.0f} GiB, more than a clinical table has", "Give a smaller one")
    suffix, notes = _suffix(path), list[str]()
    if suffix in TEXT:
        frame = _read_text(path, notes)
    elif suffix == ".parquet":
        frame = _read_parquet(path)
    elif suffix in EXCEL:
        frame = _read_excel(path, sheet)
    else:
        raise ScanweaveError(path, f"'{path.suffix}' is no table that can be read", _FORMATS)
    headings = [str(heading) for heading in frame.columns]
    twice = next((heading for heading in headings if headings.count(heading) > 1), None)
    if twice is not None:
        raise ScanweaveError(path, f"two columns are headed '{twice}'", "Rename one of them")
    frame = frame.set_axis(headings, axis=1).dropna(how="all").reset_index(drop=True)
    if frame.empty or not headings:
        raise ScanweaveError(path, "holds no rows below its headings", "Give one row a patient or visit")
    return frame, notes


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _read_text(path: Path, notes: list[str]) -> pd.DataFrame:
    text = _decoded(path, notes)
    if not text.strip():
        raise ScanweaveError(path, "is empty", "Give headings in the first line, one row a patient or visit")
    separator = _separator(path, text)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(map(str.strip, row))]
    except csv.Error as error:
        raise ScanweaveError(path, f"not a table ({error})", "Write it as CSV again") from error
    header, *body = rows
    header = [cell.strip() for cell in header]
    if len(header) > 1 and sum(_is_number(cell) for cell in header) > len(header) / 2:
        raise ScanweaveError(path, "its first line holds numbers, not headings", "Write headings above the rows")
    long = next((line for line, row in enumerate(body, 2) if len(row) > len(header)), None)
    if long is not None:
        raise ScanweaveError(path, f"row {long} has more cells than there are headings", "Quote cells that hold it")
    short = sum(len(row) < len(header) for row in body)
    if short:
        notes.append(f"{short} rows have fewer cells than there are headings; the rest counts as missing")
    cells = [[cell.strip() or None for cell in row] + [None] * (len(header) - len(row)) for row in body]
    return pd.DataFrame(cells, columns=header, dtype=object)


def _unpacked(path: Path) -> bytes:
    """Unpack a gzip file, piece by piece: a small one can hold more than fits into memory."""
    pieces, size = list[bytes](), 0
    with gzip.open(path) as file:
        while piece := file.read(2**24):
            pieces.append(piece)
            size += len(piece)
            if size > LIMIT:
                raise ScanweaveError(path, f"unpacks to more than {LIMIT // 2**30} GiB", "Give a smaller one")
    return b"".join(pieces)


def _decoded(path: Path, notes: list[str]) -> str:
    try:
        packed = path.name.lower().endswith(".gz")
        raw = _unpacked(path) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ScanweaveError(path, f"cannot be read ({error})", "Check the file") from error
    for mark, coding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if raw.startswith(mark):
            try:
                text = raw.decode(coding)
            except UnicodeDecodeError:
                continue
            if "\0" in text:
                raise ScanweaveError(path, "holds zero bytes, so it is no text", _FORMATS)
            return text
    if b"\0" in raw:
        raise ScanweaveError(path, "holds zero bytes, so it is no text", _FORMATS)
    notes.append("not UTF-8; read as Windows-1252, so look at letters beyond ASCII")
    return raw.decode("cp1252", errors="replace")


def _separator(path: Path, text: str) -> str:
    if _suffix(path) == ".tsv":
        return "\t"
    first = text.lstrip("\r\n ").splitlines()[0]
    counts = {separator: first.count(separator) for separator in ",;\t|"}
    return max(counts, key=lambda separator: counts[separator])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ScanweaveError(path, f"not a readable Parquet file ({str(error).splitlines()[0]})", _FORMATS) from error
    nested = next((field.name for field in table.schema if pa.types.is_nested(field.type)), None)
    if nested is not None:
        raise ScanweaveError(path, f"column '{nested}' holds lists or records", "Give one value a cell")
    return table.to_pandas()


def _read_excel(path: Path, sheet: str | None) -> pd.DataFrame:
    require("openpyxl", "tables")
    try:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            names = [str(name) for name in book.sheet_names]
            if sheet is None and len(names) > 1:
                raise ScanweaveError(path, f"has the sheets {', '.join(names)}", "Name one by --sheet")
            if sheet is not None and sheet not in names:
                raise ScanweaveError(path, f"has no sheet '{sheet}'", f"Choose one of {', '.join(names)}")
            frame = pd.read_excel(book, sheet_name=sheet or names[0], dtype=object)
    except (OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, zlib.error, zipfile.BadZipFile) as error:
        raise ScanweaveError(path, f"not a readable Excel file ({str(error).splitlines()[0]})", _FORMATS) from error
    unnamed = sum(str(heading).startswith("Unnamed:") for heading in frame.columns)
    if unnamed > len(frame.columns) / 2:
        raise ScanweaveError(path, "its first row holds no headings", "Remove what stands above them")
    return frame.rename(columns=lambda heading: "" if str(heading).startswith("Unnamed:") else str(heading).strip())
