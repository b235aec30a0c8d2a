"""A table: one row a study, images by path, everything else as it stands."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, real_path
from scanweave.studies.cohort import safe_id
from scanweave.studies.columns import WHO, parse_column
from scanweave.studies.formats.image_names import (
    PICTURE_SUFFIXES,
    UNREAD_VOLUMES,
    frame_cell,
    listed_files,
    split_part,
    stem,
    suffix,
    unread_format,
)
from scanweave.studies.layouts.folder_pairs import ONLY
from scanweave.studies.layouts.import_report import VARIABLE
from scanweave.studies.layouts.listing import Listing, is_there
from scanweave.studies.layouts.names import Named, Names, slug, words
from scanweave.studies.split_words import numbers_folds, parts_of, says_split
from scanweave.studies.splits import Part
from scanweave.studies.tables.decimal_marks import write_points
from scanweave.studies.tables.file_names import are_files
from scanweave.studies.tables.missing_words import is_absent, is_void
from scanweave.studies.tables.reading import read_rows

STUDY = ("study", "case", "case_id", "study_id", "id", "subject", "subject_id", "participant_id", "patient")
PICTURE = ("image", "image_id", "image_name", "filename", "file_name", "file", "path", "dicom_id", "image index")
"""Headings that name images, and so studies where no other heading does."""
PATIENT = ("patient", "patient_id", "subject", "subject_id", "participant_id", "patient id", "patientid")
LABELS = ("label", "class", "target", "diagnosis")
"""Headings of what is to be predicted."""
REPORTS = ("report", "findings", "impression", "indication", "comparison", "history", "technique", "report_text")
"""Headings of the words of a report."""
CHEXPERT = (
    "no finding",
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung opacity",
    "lung lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural other",
    "fracture",
    "support devices",
)
"""Headings of CheXpert's findings, which many collections share: labels where they hold 0, 1, −1 and nothing else."""
SEVERAL = ("finding labels", "findings labels", "labels", "findings")
"""Headings whose cells may list several findings with | between them, as ChestX-ray14 does."""
SEVERAL_FINDINGS = "several findings"
BESIDE = ("", "images/", "imgs/", "image/")
"""Folders beside a table in which its images are looked for."""
FILES = frozenset(
    {"image", "images", "img", "film", "scan", "picture", "photo", "file", "filename", "path", "dicom", "slice"}
)
"""Words of a heading by which numbers below it name files: else they are an age or a count."""
JUDGED_ROWS = 50
"""Rows by which a table of images is told from a clinical one."""
LEAST_WORDS = 3
"""Words that most cells of a report's column have."""
LONGEST_NAME = 250
"""Characters of a cell above which it is no file name."""


def names_images(path: Path) -> bool:
    """Tell whether the first rows of a table name images or hold reports, or its headings say that they will."""
    try:
        rows, _, _ = read_rows(path, JUDGED_ROWS)
    except ScanweaveError:
        return False
    return any(_holds_more(column, rows, path.parent) for column in rows[0])


def table_in(src: Path) -> Path | None:
    """Return the one table of a folder that names the pictures in it; None if there is none, or several."""
    if not any(suffix(path.name) in PICTURE_SUFFIXES for path in src.iterdir() if path.is_file()):
        return None
    tables = [path for path in sorted(src.iterdir()) if path.suffix.lower() in (".csv", ".tsv") and names_images(path)]
    return tables[0] if len(tables) == 1 else None


def list_table(src: Path, names: Names) -> Listing:
    """List studies of a table with the manifest's columns (`study`, `scan:t1` …) or plain ones (`case`, `t1` …).

    Where no column names the studies, that of the images does. Columns of images, reports, boxes and labels are told by
    their heading, `scan:NAME` and so on, or by what is in them; all others are `table:`.

    Raises:
        ScanweaveError: No column names the studies, or a file of the table is absent.
    """
    table = src if src.is_file() else table_in(src)
    if table is None:
        raise ScanweaveError(src, "holds no table that names its images, or several", "Name the table itself")
    rows, notes, separator = read_rows(table)
    listing, header = Listing("table", table.parent, table=table, remarks=notes), list(rows[0])
    roles = names.said_of(header)
    meant = {column: _meaning(column, rows, table.parent, names) for column in header}
    meant.update({column: _said(column, role, table) for column, role in roles.items()})
    several = {column for column in header if column not in roles and _lists_findings(column, rows)}
    meant.update(dict.fromkeys(several, Named(None, SEVERAL_FINDINGS)))
    known = {column: sorted({one for row in rows for one in _listed(row[column])}) for column in several}
    study, patient = _who(table, header, meant)
    study = next((column for column, role in roles.items() if role == "study"), study)
    patient = next((column for column, role in roles.items() if role == "patient"), patient)
    listing.patients_told = study != patient
    for column in {study, patient}.difference(c for c, named in meant.items() if _is_files(named)):
        meant[column] = None
    parts = _parts(table, rows, {c: named for c, named in meant.items() if c not in (study, patient)})
    _pass_over(listing, rows, meant, {study, patient, *roles})
    columns = [named.column for named in meant.values() if isinstance(named, Named) and named.column]
    if len(set(columns)) != len(columns):
        twice = next(c for c in columns if columns.count(c) > 1)
        raise ScanweaveError(
            table, f"two columns are both {twice.partition(':')[2] or twice}", "Tell them apart by --rename"
        )
    listing.columns = {
        column: _became(column, meant[column], column == study, column == patient, column in parts[:1])
        for column in header
    }
    named_by = _study_names([(row[study] or "").strip() for row in rows], _is_scan(meant[study]))
    other = {
        study,
        patient,
        *filter(None, parts[:1]),
        *(column for column, named in meant.items() if named is not None),
    }
    listing.remarks += write_points(rows, [column for column in header if column not in other], separator)
    for line, (row, name) in enumerate(zip(rows, named_by, strict=True), 2):
        if safe_id(name) in listing.studies:
            raise ScanweaveError(table, f"line {line}: study '{name}' stands there twice", "Name each study once")
        made = listing.study(name, (row[patient] or "").strip() if patient != study else name)
        for column, findings in known.items():
            there = _listed(row[column])
            made.update({f"label:{slug(one)}": str(int(one in there)) for one in findings if there})
        made.update(clinical(row, other))
        made.update({"split": parts[1][line - 2]} if parts[1] else {})
        _enter(listing, made, row, meant, (table, line))
    return listing


def _became(column: str, named: Named | str | None, study: bool, patient: bool, split: bool) -> str:
    """Return what a column of the table is in the cohort, in a word or two."""
    what = "split" if split else ""
    if isinstance(named, Named):
        what = what or named.column or ("labels" if named.spelling == SEVERAL_FINDINGS else "left out")
    elif named is not None:
        what = f"left out ({named})"
    roles = [what, "study" if study else "", "patient" if patient else ""]
    return " and ".join(filter(None, roles)) or (VARIABLE if slug(column) else "left out")


def _parts(
    table: Path, rows: list[dict[str, str]], meant: Mapping[str, Named | str | None]
) -> tuple[str | None, list[Part]]:
    """The column that says who trains and who tests, and the part of each row; None and no parts if there is none."""
    found = []
    for column, named in meant.items():
        cells = [row[column] for row in rows if not is_void(row[column])]
        said = isinstance(named, Named) and named.column == "split"
        if cells and (said or (named is None and says_split(column, cells))):
            found.append(column)
    if len(found) > 1:
        step = f"Leave one of them out: --columns '{found[1]}=-'"
        raise ScanweaveError(table, f"'{found[0]}' and '{found[1]}' both say who trains and who tests", step)
    if not found:
        return None, []
    return found[0], parts_of(table, found[0], [None if is_void(row[found[0]]) else row[found[0]] for row in rows])


def _pass_over(
    listing: Listing, rows: list[dict[str, str]], meant: dict[str, Named | str | None], skip: set[str]
) -> None:
    """Leave out columns that are no variables, and tell: numbers of folds, names of files that are no images."""
    for column in [c for c, named in meant.items() if named is None and c not in skip]:
        cells = [row[column] for row in rows if not is_absent(row[column])]
        what = "numbers folds" if numbers_folds(column) else "names files that are not read" if are_files(cells) else ""
        if what:
            meant[column] = Named(None, column)
            listing.remarks.append(f"column '{column}' {what}, and is left out")


def _enter(
    listing: Listing,
    made: dict[str, Any],
    row: Mapping[str, str],
    meant: Mapping[str, Named | str | None],
    place: tuple[Path, int],
) -> None:
    """Put the cells of a row whose columns mean something into the row of its study."""
    for column, named in meant.items():
        void = is_absent(row[column]) if _is_files(named) else is_void(row[column])
        if named is None or void or (isinstance(named, Named) and named.column in (None, "split")):
            continue
        if _is_files(named):
            listing.add(made, named, _there(*place, column, row[column]))
        elif isinstance(named, Named) and named.column:
            made[named.column] = row[column].strip()


def _who(table: Path, header: list[str], meant: Mapping[str, Named | str | None]) -> tuple[str, str]:
    """Return the headings of the study and of the patient."""
    lower = {column.lower(): column for column in header}
    study = next((lower[name] for name in STUDY if name in lower), None)
    if study is None:
        pictures = [column for column, named in meant.items() if _is_scan(named)]
        study = next((lower[name] for name in PICTURE if name in lower), None)
        study = pictures[0] if len(pictures) == 1 else study
    if study is None:
        raise ScanweaveError(table, "no column names the studies", f"Name one of them {' or '.join(STUDY[:4])}")
    return study, next((lower[name] for name in PATIENT if name in lower), study)


def _said(column: str, role: str, table: Path) -> Named | None:
    """Return what the user says that a column is; None: who the rows are about."""
    meanings = {"label": f"label:{slug(column)}", "feature": f"table:{slug(column)}", "split": "split", "-": None}
    if role in ("study", "patient"):
        return None
    if role not in meanings:
        step = f"Say one of patient, study, {', '.join(meanings)}"
        raise ScanweaveError("--columns", f"'{column}' of {table.name} cannot be '{role}': it names images", step)
    return Named(meanings[role], column)


def _lists_findings(column: str, rows: list[dict[str, str]]) -> bool:
    return column.lower().strip() in SEVERAL and any("|" in (row[column] or "") for row in rows)


def _listed(cell: str | None) -> list[str]:
    """Return the findings that a cell lists."""
    return [] if is_absent(cell) else [one.strip() for one in str(cell).split("|") if one.strip()]


def _study_names(cells: list[str], images: bool) -> list[str]:
    """Return names of the studies; of images their file names, or, where two are alike, their whole paths."""
    if not images:
        return cells
    short = [stem(PurePosixPath(cell).name) for cell in cells]
    return short if len(set(map(safe_id, short))) == len(short) else [stem(cell) for cell in cells]


def _meaning(column: str, rows: list[dict[str, str]], folder: Path, names: Names) -> Named | str | None:
    """Return a column's meaning; a text: it holds files of no known name; None: a variable, or who it is about."""
    known = parse_column(column)
    if known is not None and known.kind.name != "report":
        return Named(column, column)
    if column.lower() in WHO:
        return Named(column, column) if column in WHO[2:] else None
    lower, cells = column.lower().strip(), _filled(column, rows)
    if _are_images(column, cells, folder):
        named = names.of(column)
        return Named(f"scan:{ONLY}", column) if isinstance(named, str) and lower in PICTURE else named
    if lower in REPORTS:
        if cells and all(cell.lower().endswith((".txt", ".xml")) for cell in cells):
            return Named("report", column)
        return Named(f"text:{slug(column)}", column) if known is not None or _are_words(cells) else None
    finding = lower in CHEXPERT and bool(cells) and set(cells) <= {"0", "1", "-1", "0.0", "1.0", "-1.0"}
    return Named(f"label:{slug(column)}", column) if lower in LABELS or finding else None


def _holds_more(column: str, rows: list[dict[str, str]], folder: Path) -> bool:
    """Tell whether a column shows that its table is more than a clinical one: images, reports, boxes."""
    known = parse_column(column)
    if known is not None and (known.kind.files or known.kind.name == "text") and not known.kind.plain:
        return True
    cells = _filled(column, rows)
    if column.lower().strip() in REPORTS and (_are_words(cells) or all(c.endswith((".txt", ".xml")) for c in cells)):
        return bool(cells)
    return _are_images(column, cells, folder) or (column == "boxes" and any(map(_is_box_file, cells)))


def _is_box_file(cell: str) -> bool:
    return split_part(cell)[0].suffix.lower() in (".json", ".xml", ".txt")


def _filled(column: str, rows: list[dict[str, str]]) -> list[str]:
    return [row[column].strip() for row in rows[:JUDGED_ROWS] if not is_absent(row.get(column))]


def _are_images(column: str, cells: list[str], folder: Path) -> bool:
    """Tell whether a cell is a path of an image, or the first ones are names of images beside the table.

    Numbers are such names only where the heading says so.
    """
    files = [split_part(cell)[0] for cell in cells if "\0" not in cell]
    if any(map(suffix, files)) or (files and all(unread_format(file, UNREAD_VOLUMES) for file in files)):
        return True
    if all(map(str.isdecimal, cells)) and FILES.isdisjoint(word.text for word in words(column)):
        return False
    return bool(cells) and all(_beside(cell, folder) for cell in cells[:3])


def _beside(cell: str, folder: Path) -> str | None:
    """Return the path of an image that a cell names, as it is, in a folder of images, or without its suffix."""
    if "\0" in cell or len(cell) > LONGEST_NAME or not cell:
        return None
    endings = ("",) if suffix(split_part(cell)[0]) else PICTURE_SUFFIXES
    return next(
        (
            place + cell + ending
            for place in BESIDE
            for ending in endings
            if is_plain(folder / split_part(place + cell + ending)[0])
        ),
        None,
    )


def _are_words(cells: list[str]) -> bool:
    """Tell whether most cells are words of a report, not one of few choices."""
    return 2 * sum(len(cell.split()) >= LEAST_WORDS for cell in cells) >= len(cells) > 0


def _is_files(named: Named | str | None) -> bool:
    if isinstance(named, str) or (named is not None and named.column is None):
        return True
    column = parse_column(named.column) if named is not None else None
    return column is not None and column.kind.files


def _is_scan(named: Named | str | None) -> bool:
    return isinstance(named, Named) and str(named.column).startswith("scan:")


def clinical(row: Mapping[str, Any], skip: set[str]) -> dict[str, Any]:
    """Return the cells of a row as `table:<name>` fields, void ones left out."""
    return {f"table:{slug(k)}": v.strip() for k, v in row.items() if k and k not in skip and not is_void(v) and slug(k)}


def _there(src: Path, line: int, column: str, value: str) -> str:
    """Return what a cell names, relative to the table: a file, or the frames of a series in the order of the cell.

    Raises:
        ScanweaveError: A file is not there.
    """
    listed = [one.strip() for one in listed_files(value.strip())]
    paths = [
        _one_there(src, own, PurePosixPath(listed[0]).parent if number else None) for number, own in enumerate(listed)
    ]
    if None in paths:
        absent = listed[paths.index(None)]
        step = "Give paths relative to the table's folder"
        raise ScanweaveError(src, f"line {line}, column {column}: no such file '{absent}'", step)
    found = [path for path in paths if path is not None]
    if any(map(posixpath.isabs, found)):
        found = [str(real_path(src.parent) / path) for path in found]
    return frame_cell(found)


def _one_there(src: Path, own: str, beside: PurePosixPath | None) -> str | None:
    """Return the path of a file that a cell names; a further frame may be named from the folder of the first."""
    names = [own, *([] if beside is None else [str(beside / own)])]
    for name in names:
        if "\0" not in name and is_there(src.parent / split_part(name)[0]):
            return name
    return _beside(own, src.parent)
