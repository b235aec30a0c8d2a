"""The verdicts of the last check of a whole cohort, as long as nothing changed: no image is opened for them.

`check.json` says of which files `check.parquet` and the verdicts on columns were made. Nothing here loads a slow
library, so that to check again what did not change costs next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, plain_size, read_json, write_json
from scanweave.studies.findings import Verdict, parse_findings
from scanweave.studies.formats.file_states import file_state

FILE, FORMAT = "check.json", 1
VERDICTS, VERDICTS_FORMAT = "check.parquet", "1"
"""Where the verdicts on studies are kept, and the format of that file; another format is checked anew."""
MADE_OF = ("cohort.json", "manifest.parquet", "table.json", "splits.json")
"""Files of a cohort's folder that a verdict depends on, beside the images."""
DAMAGED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What content of another shape raises where it is read."""
_ADVICE = "Remove it; it is made again by: scanweave cohort check COHORT"


@dataclass(frozen=True)
class LastCheck:
    """What the last check of all of a cohort said.

    Attributes:
        studies: Verdicts on the studies, in the order of the manifest.
        columns: Verdicts on the columns of its table, and on folds.
        has_table: Whether there is a table at all.
        has_label: Whether one of its columns is a label.
    """

    studies: list[Verdict]
    columns: list[Verdict]
    has_table: bool
    has_label: bool


def keep_last_check(folder: Path, check: LastCheck) -> None:
    """Write what the check of all of the cohort in `folder` said of columns, and of which files it was made.

    Raises:
        ScanweaveError: The folder cannot be written to.
    """
    about = {"has_table": check.has_table, "has_label": check.has_label}
    columns = [one.to_json() for one in check.columns]
    write_json(folder / FILE, {"format": FORMAT, "made_of": _made_of(folder), **about, "columns": columns})


def last_check(folder: Path) -> LastCheck | None:
    """Return what the last check of all of the cohort said; None if there was none, or anything changed since."""
    if not is_plain(folder / FILE) or not is_plain(folder / VERDICTS):
        return None
    try:
        kept = read_json(folder / FILE, _ADVICE)
        if kept["format"] != FORMAT or kept["made_of"] != _made_of(folder):
            return None
        studies = _studies(folder)
        columns = [Verdict(str(one["study"]), parse_findings(one["findings"])) for one in kept["columns"]]
        return None if studies is None else LastCheck(studies, columns, kept["has_table"], kept["has_label"])
    except (
        ScanweaveError,
        OSError,
        pa.ArrowException,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ):
        return None  # damaged: whatever is wrong is told, or mended, by a check that reads


def _made_of(folder: Path) -> dict[str, list[int]]:
    return {name: file_state(folder / name) for name in MADE_OF}


def _studies(folder: Path) -> list[Verdict] | None:
    """The kept verdicts in the order of the manifest; None where one is absent or an image changed."""
    root = folder / str(read_json(folder / "cohort.json", _ADVICE)["root"])
    for name in (VERDICTS, "manifest.parquet"):
        plain_size(folder / name, _ADVICE)
    kept = pq.ParquetFile(folder / VERDICTS)
    if (kept.schema_arrow.metadata or {}).get(b"format") != VERDICTS_FORMAT.encode():
        return None
    table = kept.read(columns=["study", "files", "findings"]).to_pydict()
    rows = {name: (files, found) for name, files, found in zip(*table.values(), strict=True)}
    order = pq.ParquetFile(folder / "manifest.parquet").read(columns=["study"])["study"].to_pylist()
    if any(name not in rows or not _unchanged(json.loads(rows[name][0]), root) for name in order):
        return None
    return [Verdict(name, parse_findings(json.loads(rows[name][1]))) for name in order]


def _unchanged(files: Mapping[str, Any], root: Path) -> bool:
    """Whether all files that a study was judged by are as they were; the manifest's state tells of the rest."""
    return all([kept[0], *file_state(root / kept[0])] == kept for kept in files.values() if isinstance(kept, list))
