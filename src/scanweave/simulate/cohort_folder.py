"""The folder of a simulated cohort, whatever is simulated: request checked, subjects written, manifest made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.simulate.subject import Subject
from scanweave.simulate.writing import AGAIN, HELD_OUT, STUDIES, TRUTH, claim, name_of, write_subjects
from scanweave.studies.cohort import ABOUT, Cohort

Settings = TypeVar("Settings", bound=BaseModel)
Facts = dict[str, dict[str, Any]]
"""The truth of each study, by its name."""


def checked_settings(
    kind: type[Settings], values: dict[str, Any], advice: str, *, subjects: int, seed: int, workers: int
) -> Settings:
    """Return the settings of a request.

    Args:
        kind: The model of the settings.
        values: Its fields.
        advice: Where the fields are told, as a sentence.
        subjects: How many subjects; 1 or more.
        seed: 0 or more.
        workers: Processes; 1 or more.

    Raises:
        ScanweaveError: One is out of range.
    """
    for name, value, least in (("subjects", subjects, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise ScanweaveError(name, f"{value} is too small", f"Give {least} or more")
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ScanweaveError(field, first["msg"].removeprefix("Value error, "), advice) from error


def refuse_idle(protocol: str, missing: float, keep_removed: bool) -> None:
    """Refuse options about what is absent where nothing is.

    Raises:
        ScanweaveError: One has no effect.
    """
    if missing and protocol != "random":
        reason = f"has no effect with protocol {protocol}"
        raise ScanweaveError("missing", reason, "Leave it out, or ask for protocol random")
    if keep_removed and (protocol == "none" or (protocol == "random" and not missing)):
        raise ScanweaveError("keep_removed", "has no effect: no scan is removed", "Leave it out, or name a protocol")


def write_studies(
    out: Path,
    request: dict[str, Any],
    simulate: Callable[[int], Subject],
    *,
    subjects: int,
    keep_removed: bool,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Facts:
    """Write all subjects that `out` lacks, and return the truth of each.

    Args:
        out: Folder to make, or to go on in.
        request: What is asked for, apart from the number of subjects.
        simulate: Makes the subject of an index.
        subjects: How many.
        keep_removed: Also write the scans that the protocol removes, to `held_out/`.
        workers: Processes.
        progress: Called with the number of subjects done and of all, after each.

    Raises:
        ScanweaveError: `out` holds something else or the cohort of another request.
    """
    claim(out, request)
    facts = {}
    for done, index in enumerate(write_subjects(out, range(subjects), simulate, keep_removed, workers), start=1):
        facts[name_of(index)] = read_json(out / STUDIES / name_of(index) / TRUTH, AGAIN)
        if progress is not None:
            progress(done, subjects)
    return facts


def write_manifest(
    out: Path,
    facts: Facts,
    *,
    source: str,
    scans: Sequence[str],
    masks: Sequence[str],
    labels: Callable[[dict[str, Any]], dict[str, Any]],
    keep_removed: bool,
    structures: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    patients: str = "",
) -> Cohort:
    """Make a cohort of what was written: the subjects on disk are the truth, the manifest is their index.

    Args:
        out: Folder of the cohort.
        facts: The truth of each study.
        source: The command that made it.
        scans: Names of all scans.
        masks: Names of all masks; masks and labels go with the scans that are present.
        labels: Further columns of a study, from its truth.
        keep_removed: Also make a cohort of the scans that were removed, in `held_out/`.
        structures: What the numbers of each mask are.
        patients: What the name of a patient begins with, before that of the study.
    """

    def scans_of(name: str, room: Path, part: str) -> dict[str, Any]:
        files = {scan: str(room / name / f"{scan}.nii.gz") for scan in facts[name][part]}
        return {"study": name, "patient": patients + name} | {f"scan:{scan}": files.get(scan) for scan in scans}

    removed = [scans_of(name, Path(), "absent") for name, truth in facts.items() if truth["absent"]]
    if keep_removed and removed:
        _write_cohort(out / HELD_OUT, removed, f"{out.name}, removed scans", source)
    rows = []
    for name, truth in facts.items():
        drawn = {f"mask:{mask}": str(Path(STUDIES) / name / f"{mask}.nii.gz") for mask in masks}
        rows.append(scans_of(name, Path(STUDIES), "present") | drawn | labels(truth))
    return _write_cohort(out, rows, out.name, source, structures)


def _write_cohort(
    folder: Path,
    rows: list[dict[str, Any]],
    name: str,
    source: str,
    structures: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
) -> Cohort:
    (folder / ABOUT).unlink(missing_ok=True)
    about = {"name": name, "source": source, "layout": "simulated"}
    return Cohort.create(folder, rows, root=".", structures=structures, **about)
