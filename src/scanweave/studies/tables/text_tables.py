"""CSV, TSV and other tables of text, packed or not: coding, separator, headings and comments found."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.tables.size_budget import Budget

HEAD_CHARACTERS = 2**16
"""Characters by which the separator is told."""
HEAD_ROWS = 20
"""Rows by which the separator is told."""
PIECE_BYTES = 2**20
"""Read at once."""
SEPARATORS = ",;\t|"
_TOLD = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_FORMATS = "Give a .csv, .tsv, .parquet or .xlsx file"


@dataclass
class TextTable:
    """A table of text.

    Attributes:
        header: The headings.
        rows: As many cells a row as there are headings; empty ones are None.
        separator: What stands between cells.
        notes: What was mended.
    """

    header: list[str]
    rows: list[list[str | None]]
    separator: str
    notes: list[str] = field(default_factory=list)


def read_text_table(path: Path, most_rows: int | None = None) -> TextTable:
    """Read a table of text; `.gz` is unpacked within the budget.

    Args:
        path: The file.
        most_rows: Rows to read; None: all.

    Raises:
        ScanweaveError: It cannot be read, is no text or no table, is empty, or is larger than the budget of a table.
    """
    for coding in ("utf-8-sig", "cp1252"):
        try:
            table = _read(path, coding, most_rows)
        except UnicodeDecodeError:
            continue
        if coding == "cp1252":
            table.notes.insert(0, "not UTF-8; read as Windows-1252, so look at letters beyond ASCII")
        return table
    raise AssertionError("cp1252 replaces what it cannot read")


def _read(path: Path, coding: str, most_rows: int | None) -> TextTable:
    with _text(path, coding) as stream:
        head = stream.read(HEAD_CHARACTERS)
    if not head.strip():
        raise ScanweaveError(path, "is empty", "Give headings in the first line, one row a patient or visit")
    separator, skipped, marked = _form(path, head)
    notes = [f"{skipped} lines above the headings passed over"] if skipped else []
    with _text(path, coding) as stream:
        lines: Iterator[str] = islice((line for line in stream if line.strip()), skipped, None)
        if marked:
            lines = chain([next(lines).lstrip().removeprefix("#")], lines)
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t")
        try:
            header = [cell.strip() for cell in next(reader)]
            rows = _cells(path, reader, header, notes, most_rows)
        except csv.Error as error:
            raise ScanweaveError(path, f"not a table ({error})", "Write it as CSV again") from error
    if len(header) > 1 and sum(_is_number(cell) for cell in header) > len(header) / 2:
        raise ScanweaveError(path, "its first line holds numbers, not headings", "Write headings above the rows")
    bare = [k for k, heading in enumerate(header) if not heading and all(row[k] is None for row in rows)]
    if bare and len(bare) < len(header):  # separators at the end of each line
        kept = [k for k in range(len(header)) if k not in bare]
        header, rows = [header[k] for k in kept], [[row[k] for k in kept] for row in rows]
    return TextTable(header, rows, separator, notes)


def _cells(
    path: Path, reader: Iterable[list[str]], header: list[str], notes: list[str], most_rows: int | None
) -> list[list[str | None]]:
    """The rows below the headings, equal cells as one object."""
    budget, known = Budget(path), dict[str, str]()
    rows, short, comments, width = list[list[str | None]](), 0, 0, len(header)
    for number, row in enumerate(reader, 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if width > 1 and cells[0].startswith("#") and not any(cells[1:]):
            comments += 1
            continue
        if any(cells[width:]):
            raise ScanweaveError(
                path, f"row {number} has more cells than there are headings", "Quote cells that hold it"
            )
        short += len(cells) < width
        budget.take(width, sum(map(len, cells)))
        rows.append([known.setdefault(cell, cell) if cell else None for cell in cells[:width]])
        rows[-1] += [None] * (width - len(cells))
        if len(rows) == most_rows:
            break
    if short:
        notes.append(f"{short} rows have fewer cells than there are headings; the rest counts as missing")
    if comments:
        notes.append(f"{comments} lines that begin with # passed over")
    return rows


def _form(path: Path, head: str) -> tuple[str, int, bool]:
    """The separator, how many lines that are not empty stand above the headings, and whether these follow a #."""
    lines = [line for line in head.splitlines(keepends=True) if line.strip()]
    told = _TOLD.fullmatch(lines[0].strip())
    comments = list(iter_comments(lines[1:] if told else lines))
    start = (1 if told else 0) + len(comments)
    separator = told[1] if told else "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else None
    below = lines[start:] or lines[:1]
    found = separator or _separator(below)
    last = comments[-1] if comments else ""
    if last[1:2].strip() and last[1:2] != "#":  # such as #id,age
        wide = [len(next(csv.reader([line], delimiter=found), [])) for line in (last, below[0])]
        if wide[0] == wide[1] > 1:
            return found, start - 1, True
    if not lines[start:]:
        raise ScanweaveError(path, "holds no rows below its headings", "Give one row a patient or visit")
    return found, start, False


def iter_comments(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines at the top of a table that begin with #, without blanks round them."""
    for line in lines:
        if not line.lstrip().startswith("#"):
            return
        yield line.strip()


def _separator(lines: list[str]) -> str:
    """The separator by which rows have the most cells, and all as many as there are headings if one does that."""

    def fits(separator: str) -> tuple[bool, float, int]:
        try:
            rows = list(islice(csv.reader(lines, delimiter=separator, skipinitialspace=True), HEAD_ROWS))
        except csv.Error:
            return False, 0, 0
        rows = [row for row in rows if any(map(str.strip, row))]
        body = rows[1:-1] or rows[1:]  # the head may end within a row
        width = len(rows[0])
        even = all(not any(row[width:]) for row in body)
        full = sum(len(row) >= width for row in body) / max(1, len(body))
        return even and width > 1, full, width

    return max(SEPARATORS, key=fits)


class _Bytes(io.RawIOBase):
    """The bytes of a file, unpacked, that refuses zero bytes in what is no UTF-16."""

    def __init__(self, path: Path, stream: Any, wide: bool) -> None:
        self.path, self.stream, self.wide, self.size, self.budget = path, stream, wide, 0, Budget(path)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read into a buffer."""
        piece = self.stream.read(min(len(buffer), PIECE_BYTES))
        if not self.wide and b"\0" in piece:
            raise ScanweaveError(self.path, "holds zero bytes, so it is no text", _FORMATS)
        self.size += len(piece)
        if self.size > self.budget.most:
            self.budget.take(0, self.size)
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def _text(path: Path, coding: str) -> Iterator[io.TextIOWrapper]:
    """The text of a file, read piece by piece: a small packed one can hold more than fits into memory."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
            mark = stream.read(2)
            stream.seek(0)
            wide = mark in (b"\xff\xfe", b"\xfe\xff")
            raw: Any = _Bytes(path, stream, wide)
            errors = "replace" if coding == "cp1252" else "strict"
            yield io.TextIOWrapper(
                io.BufferedReader(raw, PIECE_BYTES), "utf-16" if wide else coding, errors, newline=""
            )
    except (OSError, EOFError, zlib.error) as error:
        raise ScanweaveError(path, f"cannot be read ({error})", "Check the file") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
