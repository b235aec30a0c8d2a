"""`participants.tsv` of a BIDS dataset, joined to the studies of its patients."""

from __future__ import annotations

from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import safe_id
from scanweave.studies.layouts.import_report import SHOWN
from scanweave.studies.layouts.listing import Listing
from scanweave.studies.layouts.names import Names, slug
from scanweave.studies.layouts.table import clinical
from scanweave.studies.split_words import numbers_folds, parts_of, says_split
from scanweave.studies.splits import Part
from scanweave.studies.tables.decimal_marks import write_points
from scanweave.studies.tables.missing_words import is_void
from scanweave.studies.tables.reading import read_rows
from scanweave.wording import count, listed

FILE, WHO, PREFIX = "participants.tsv", "participant_id", "sub-"
ROLES = ("label", "feature", "split", "-")
"""Roles that the user may give its columns."""


def join_participants(listing: Listing, src: Path, names: Names) -> None:
    """Add the variables of `participants.tsv` to the studies of each patient, and his part where it says one.

    The images do not need the table: if it is at fault or names nobody, a remark says so, and nothing is joined.

    Raises:
        ScanweaveError: A column says who trains and who tests in words that are not known, or cannot be what the user
            says.
    """
    path = src / FILE
    if not path.is_file():
        return
    try:
        rows, notes, separator = read_rows(path)
        named = [heading for heading in rows[0] if heading.strip().lower() == WHO]
        if not named:
            raise ScanweaveError(path, f"has no column {WHO}", "Name the participants in it")
        heading = named[0]
        others = [column for column in rows[0] if column != heading]
        roles = names.said_of(others)
        splits = [c for c in others if roles.get(c, "split" if _says_split(c, rows) else "") == "split"]
        labels = [c for c, role in roles.items() if role == "label"]
        left = [c for c in others if roles.get(c) == "-" or (c not in roles and numbers_folds(c))]
        skip = {heading, *splits, *labels, *left}
        notes = notes + write_points(rows, [column for column in others if column not in skip], separator)
        by_patient = {_subject(row[heading]): row for row in rows if not is_void(row[heading])}
    except ScanweaveError as error:
        listing.remarks.append(f"{FILE} is not used: {error.reason}")
        return
    strange = next((column for column, role in roles.items() if role not in ROLES), None)
    if strange is not None:
        reason = f"'{strange}' of {FILE} cannot be '{roles[strange]}': the folders say whose images are whose"
        raise ScanweaveError("--columns", reason, f"Say one of {', '.join(ROLES)}")
    parts = _parts(path, splits, rows, heading)
    patients = {row["patient"] for row in listing.studies.values()}
    joined = patients & set(by_patient)
    if not joined:
        some = ", ".join(sorted(row[heading] for row in rows)[:2])
        listing.remarks.append(f"{FILE} joins nobody: it names {some} …, the folders {', '.join(sorted(patients)[:2])}")
        return
    listing.remarks += [f"{FILE}: {note}" for note in notes]
    lacking = sorted(patients - joined)
    if lacking:
        some = listed(lacking, SHOWN)
        listing.remarks.append(f"{FILE} does not name {count(len(lacking), 'patient')} ({some})")
    for row in listing.studies.values():
        own = by_patient.get(row["patient"])
        if own is not None:
            row.update(clinical(own, skip))
            row.update({f"label:{slug(c)}": own[c].strip() for c in labels if not is_void(own[c])})
            row.update({"split": parts[row["patient"]]} if parts else {})


def _says_split(column: str, rows: list[dict[str, str]]) -> bool:
    return says_split(column, [row[column] for row in rows if not is_void(row[column])])


def _parts(path: Path, splits: list[str], rows: list[dict[str, str]], who: str) -> dict[str, Part]:
    """The part of each patient; none where no column says it."""
    if len(splits) > 1:
        reason = f"'{splits[0]}' and '{splits[1]}' both say who trains and who tests"
        raise ScanweaveError(path, reason, "Leave one of them out")
    if not splits:
        return {}
    cells = [None if is_void(row[splits[0]]) else row[splits[0]] for row in rows]
    return {_subject(row[who]): part for row, part in zip(rows, parts_of(path, splits[0], cells), strict=True)}


def _subject(name: str) -> str:
    """The patient as his folder is named: `sub-01` of `sub-01` or `01`."""
    return safe_id(PREFIX + name.strip().removeprefix(PREFIX))
