"""A CSV or TSV table: one row a study, images by path, everything else as it stands."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import safe_id
from scanweave.studies.formats.image_reader import split_channel, suffix
from scanweave.studies.layouts.listing import Listing
from scanweave.studies.layouts.names import Named, Names, slug

STUDY = ("study", "case", "case_id", "study_id", "id", "subject", "subject_id", "participant_id", "patient")
PATIENT = ("patient", "patient_id", "subject", "subject_id", "participant_id")
KINDS = ("scan", "mask", "label", "table")
SEEN = 50
"""Rows by which a table of images is told from a clinical one."""
_VOID = {"", "n/a", "na", "nan", "none", "null"}


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV or TSV file with a header line.

    Raises:
        ScanweaveError: Not text, a line too long, or more cells than the header names.
    """
    advice = "Write it as UTF-8 text with one header line"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, dialect="excel-tab" if path.suffix.lower() == ".tsv" else "excel")
            rows = list(reader)
            header = list(reader.fieldnames or ())
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", advice) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScanweaveError(path, f"not a table ({error})", advice) from error
    if len(set(header)) != len(header):
        raise ScanweaveError(path, "two columns have one name", "Rename one of them")
    for line, row in enumerate(rows, 2):
        if None in row:
            raise ScanweaveError(path, f"line {line} has more cells than the header", "Quote cells that hold commas")
    return rows


def names_images(path: Path) -> bool:
    """Whether the first rows of a CSV or TSV table name images, or its headings say that they will."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            head = list(
                islice(csv.reader(stream, dialect="excel-tab" if path.suffix.lower() == ".tsv" else "excel"), SEEN)
            )
    except (OSError, csv.Error):
        return False
    heading = head[0] if head else []
    return any(c.startswith(("scan:", "mask:")) for c in heading) or any(
        suffix(split_channel(cell.strip())[0]) for row in head[1:] for cell in row if "\0" not in cell
    )


def list_table(src: Path, names: Names) -> Listing:
    """Studies of a table with the manifest's columns (`study`, `scan:t1` …) or plain ones (`case`, `t1` …).

    Raises:
        ScanweaveError: No column names the studies, or a file of the table is absent.
    """
    rows, listing = read_table(src), Listing("table", src.parent)
    header = list(rows[0]) if rows else []
    lower = {column.lower(): column for column in header}
    study = next((lower[name] for name in STUDY if name in lower), None)
    if study is None:
        raise ScanweaveError(src, "no column names the studies", f"Name one of them {' or '.join(STUDY[:4])}")
    patient = next((lower[name] for name in PATIENT if name in lower), study)
    images = {c: _image(c, rows, names) for c in header if c not in (study, patient)}
    columns = [named.column for named in images.values() if isinstance(named, Named) and named.column]
    if len(set(columns)) != len(columns):
        twice = next(c for c in columns if columns.count(c) > 1)
        raise ScanweaveError(src, f"two columns are both {twice.partition(':')[2]}", "Tell them apart by --rename")
    for line, cells in enumerate(rows, 2):
        name = (cells[study] or "").strip()
        if safe_id(name) in listing.studies:
            raise ScanweaveError(src, f"line {line}: study '{name}' stands there twice", "Name each study once")
        row = listing.study(name, (cells[patient] or "").strip())
        for column, named in images.items():
            if named is not None and not _void(cells[column]):
                listing.add(row, named, _there(src, line, column, cells[column]))
        row.update(_others(cells, {study, patient, *(c for c, named in images.items() if named is not None)}))
    return listing


def clinical(row: Mapping[str, Any], skip: set[str]) -> dict[str, Any]:
    """The cells of a row as `table:<name>` fields, void ones left out."""
    return {f"table:{slug(k)}": v.strip() for k, v in row.items() if k and k not in skip and not _void(v) and slug(k)}


def _others(cells: Mapping[str, str], skip: set[str]) -> dict[str, Any]:
    """Cells that are not images: fields of the manifest as they are, the rest as `table:<name>`."""
    known = {c for c in cells if c in ("split", "report", "boxes") or c.partition(":")[0] in ("label", "table")}
    fields = {c: cells[c].strip() for c in known - skip if not _void(cells[c])}
    return {**fields, **clinical(cells, skip | known)}


def _image(column: str, rows: list[dict[str, str]], names: Names) -> Named | str | None:
    """What a column of image paths means; None for a column of anything else."""
    kind, colon, _ = column.partition(":")
    if colon and kind in ("scan", "mask", "sinogram"):
        return Named(column, column)
    value = next((row[column] for row in rows if not _void(row[column])), "")
    return names.of(column) if suffix(split_channel(value)[0]) else None


def _there(src: Path, line: int, column: str, value: str) -> str:
    path = value.strip()
    if "\0" in path or not (src.parent / split_channel(path)[0]).is_file():
        raise ScanweaveError(
            src, f"line {line}, column {column}: no such file '{path}'", "Give paths relative to the table's folder"
        )
    return path


def _void(value: str | None) -> bool:
    return value is None or value.strip().lower() in _VOID
