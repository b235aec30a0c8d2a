"""The verdicts of the last check of a whole cohort, as long as nothing changed: no image is opened for them.

`check.jsonl` says of which files the verdicts were made: a line on all, then one a study. Nothing here loads a slow
library, numpy and pyarrow among them, so that to check again what did not change costs next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, is_plain, read_json
from scanweave.studies.findings import Verdict, parse_findings
from scanweave.studies.formats.file_states import file_state

FILE, FORMAT = "check.jsonl", 2
VERDICTS = "check.parquet"
"""File of the verdicts on studies and their evidence, for a check that compares."""
MADE_OF = ("cohort.json", "manifest.parquet", "table.json", "splits.json", VERDICTS)
"""Files of a cohort's folder that a verdict depends on, beside the images."""
DAMAGED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""Errors raised by JSON of another shape than ours."""
_ADVICE = "Remove it; it is made again by: scanweave cohort check COHORT"
FileState = list[Any]
"""Path of a file, relative to the root of the cohort, and its `file_state`."""


@dataclass(frozen=True)
class LastCheck:
    """Result of the last check of all of a cohort.

    Attributes:
        studies: Verdicts on the studies, in the order of the manifest.
        columns: Verdicts on the columns of its table, and on folds.
        has_table: Whether there is a table at all.
        has_label: Whether one of its columns is a label.
        unread: How many of the studies were not read for it, since nothing of them changed.
    """

    studies: list[Verdict]
    columns: list[Verdict]
    has_table: bool
    has_label: bool
    unread: int = 0


def keep_last_check(
    folder: Path, check: LastCheck, files: Mapping[str, Iterable[FileState]], made_of: Mapping[str, list[int]]
) -> None:
    """Write what the check of all of the cohort in `folder` said, and of which files it was made.

    Args:
        folder: Folder of the cohort.
        check: The verdicts.
        files: The files of each study, as they were before they were read.
        made_of: The files of the cohort itself, likewise: `cohort_files(folder)`.

    Raises:
        ScanweaveError: The folder cannot be written to.
    """
    about = {
        "format": FORMAT,
        "made_of": made_of,
        "studies": len(check.studies),
        "has_table": check.has_table,
        "has_label": check.has_label,
        "columns": [one.to_json() for one in check.columns],
    }
    rows = ({**one.to_json(), "files": [*files[one.study]]} for one in check.studies)
    with atomic_write(folder / FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in (about, *rows))


def last_check(folder: Path) -> LastCheck | None:
    """Return what the last check of all of the cohort said; None if there was none, or anything changed since."""
    if not is_plain(folder / FILE):
        return None
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            about = json.loads(next(file, ""))
            if about["format"] != FORMAT or about["made_of"] != cohort_files(folder):
                return None
            root = folder / str(read_json(folder / "cohort.json", _ADVICE)["root"])
            studies = [*_unchanged(file, root)]
        columns = [_verdict(one) for one in about["columns"]]
        whole = len(studies) == about["studies"]
        return LastCheck(studies, columns, about["has_table"], about["has_label"]) if whole else None
    except (ScanweaveError, OSError, *DAMAGED):
        return None  # absent or damaged: whatever is wrong is told, or mended, by a check that reads


def cohort_files(folder: Path) -> dict[str, list[int]]:
    """Return the state of each file of a cohort's folder that verdicts depend on."""
    return {name: file_state(folder / name) for name in MADE_OF}


def _unchanged(lines: Iterable[str], root: Path) -> Iterator[Verdict]:
    """Yield the verdicts up to the first study of which a file changed; the manifest's state tells of the rest."""
    for line in lines:
        kept = json.loads(line)
        if any(file_state(root / path) != state for path, *state in kept["files"]):
            return
        yield _verdict(kept)


def _verdict(kept: Mapping[str, Any]) -> Verdict:
    return Verdict(kept["study"], parse_findings(kept["findings"]))
