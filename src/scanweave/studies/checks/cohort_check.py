"""Whether the studies of a cohort can be used, study by study, in words; and the last verdicts on disk.

A study is judged in the light of its population: all studies of the cohort's folder, as they were when last checked.
Which sequence is a series, which voxels stand there twice and which names look exchanged is told by comparison, so one
study that is new or changed has all judged again, from what the last check noted. Where nothing changed, the verdicts
of the last check stand.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.studies.checks.grid_check import grid_findings
from scanweave.studies.checks.last_check import VERDICTS as FILE
from scanweave.studies.checks.last_check import VERDICTS_FORMAT as FORMAT
from scanweave.studies.checks.last_check import LastCheck, keep_last_check
from scanweave.studies.checks.swapped_names import Profile, lattice, profile, sample, swapped
from scanweave.studies.checks.voxel_check import fingerprint, mask_findings, scan_findings
from scanweave.studies.cohort import Cohort
from scanweave.studies.findings import Finding, Verdict
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram
from scanweave.studies.preparing.plan import reference_grid
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

SERIES = frozenset({"asl", "bold", "dce", "dsc", "dwi", "pet"})
"""Sequences that may be a series; any other may be one only if it is in most studies of its cohort."""
_CLEARED = "Remove the file; it is made again by: scanweave cohort check COHORT"
Progress = Callable[[int, int], None]
Say = Callable[[str], None]
_T = TypeVar("_T")


def _aside(line: str) -> None:
    print(line, file=sys.stderr)


@dataclass(frozen=True)
class Evidence:
    """What one study's files showed, before it is compared with the others.

    Attributes:
        study: Its name.
        patient: Whose it is.
        findings: What was found in the study alone.
        frames: Frames of each scan that is a series.
        prints: Fingerprint of each scan's voxels.
        profile: How its images look.
    """

    study: str
    patient: str
    findings: tuple[Finding, ...] = ()
    frames: dict[str, int] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)


def check_study(row: Mapping[str, Any], root: Path) -> Verdict:
    """Check one study, a row of a manifest, on its own.

    Args:
        row: `study`, `patient`, `scan:<name>`, `mask:<name>`, `sinogram:<name>`.
        root: Folder that the paths are relative to.
    """
    return judge([examine(row, root)])[0]


def check_cohort(
    cohort: Cohort, workers: int = 2, progress: Progress = lambda done, total: None, say: Say = _aside
) -> list[Verdict]:
    """Check all studies anew, on `workers` threads, and keep the verdicts in the cohort's `check.parquet`.

    Args:
        cohort: Any cohort; the studies of it are the population.
        workers: Studies that are read at once.
        progress: Called with the number of studies done and of all.
        say: Takes a line that says that the folder of the cohort cannot be written to, if so.
    """
    return _check(cohort, True, workers, progress, say)


def verdicts(
    cohort: Cohort, workers: int = 2, progress: Progress = lambda done, total: None, say: Say = _aside
) -> list[Verdict]:
    """The verdicts of all studies, as `check_cohort`; only files that changed since the last check are read again.

    Raises:
        ScanweaveError: The verdicts of the last check are damaged.
    """
    return _check(cohort, False, workers, progress, say)


def check_all(
    cohort: Cohort,
    again: bool = False,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
    say: Say = _aside,
) -> LastCheck:
    """Return the verdicts on all studies and columns of a whole cohort, and keep them for `last_check`.

    Args:
        cohort: All of a cohort, as it was opened.
        again: Whether files that did not change since the last check are read too.
        workers: Studies that are read at once.
        progress: Called with the number of studies done and of all that must be read.
        say: Takes lines: that the last verdicts are damaged, or that the folder cannot be written to.
    """
    try:
        found = _check(cohort, again, workers, progress, say)
    except ScanweaveError as error:
        if error.where != str(cohort.folder / FILE):
            raise
        say(f"check: the last verdicts cannot be used, so all studies are read ({FILE}: {error.reason})")
        found = _check(cohort, True, workers, progress, say)
    tables = any(str(column).startswith("table:") for column in cohort.frame)
    columns = []
    if tables:
        from scanweave.studies.tables.table_check import check_table

        columns = check_table(cohort)
    done = LastCheck(found, columns, tables, bool(cohort.labels))
    try:
        keep_last_check(cohort.folder, done)
    except ScanweaveError as error:
        say(f"check: not kept, so that it is made again next time ({error.where}: {error.reason})")
    return done


def examine(row: Mapping[str, Any], root: Path) -> Evidence:
    """Open every file of one study and note what it shows."""
    paths = image_paths(row)
    scans: dict[str, Scan] = {}
    findings: list[Finding] = []
    for column, path in paths.items():
        name = column.removeprefix("scan:")
        try:
            if name.startswith("sinogram:"):
                doubts = read_sinogram(root / path).doubts()
                findings += [Finding("counts", "suspect", words, done, name) for words, done in doubts]
            else:
                scans[name] = read_scan(root / path)
        except ScanweaveError as error:
            findings.append(_refusal(error).of(name))
    study, patient = str(row["study"]), str(row["patient"])
    findings += [note.of(name) for name, scan in scans.items() for note in scan.notes]
    images = {name: scan for name, scan in scans.items() if not name.startswith("mask:")}
    if not images:
        if not paths and not _has_table(row):
            reason = "has neither scan nor table"
            findings.append(Finding("empty", "refused", reason, "Leave it out, or add its images"))
        return Evidence(study, patient, tuple(findings))
    grid = reference_grid(Study(study, patient, images))
    reference = next(name for name, scan in sorted(images.items()) if scan.geometry is grid)
    found = grid_findings({name: scan.geometry for name, scan in scans.items()}, reference)
    measured = any(column.startswith("sinogram:") for column in paths)  # then a slice is all that there can be
    findings += [finding for finding in found if not (measured and finding.kind == "slices")]
    prints, samples = _examine_voxels(scans, lattice(grid), findings)
    frames = {name: scan.frames for name, scan in images.items() if scan.frames}
    return Evidence(study, patient, tuple(findings), frames, prints, profile(samples) if samples else Profile())


def judge(evidence: Sequence[Evidence]) -> list[Verdict]:
    """The verdict on each study, in the light of the others."""
    series, copies = _series(evidence), _copies(evidence)
    exchanged = swapped([e.profile for e in evidence])
    return [
        Verdict(e.study, (*e.findings, *series[e.study], *copies[e.study], *((swap,) if swap else ())))
        for e, swap in zip(evidence, exchanged, strict=True)
    ]


def image_paths(row: Mapping[str, Any]) -> dict[str, str]:
    """The present `scan:<name>`, `mask:<name>` and `sinogram:<name>` fields of a manifest row."""
    kinds = ("scan:", "mask:", "sinogram:")
    return {str(c): str(v) for c, v in row.items() if str(c).startswith(kinds) and not pd.isna(v)}


def _has_table(row: Mapping[str, Any]) -> bool:
    return any(str(c).startswith(("table:", "label:")) and not pd.isna(v) for c, v in row.items())


def _examine_voxels(
    scans: Mapping[str, Scan], positions: NDArray[np.floating], findings: list[Finding]
) -> tuple[dict[str, str], dict[str, NDArray[np.floating]]]:
    """Read one image after the other and hold none; fills `findings`."""
    prints: dict[str, str] = {}
    samples: dict[str, NDArray[np.floating]] = {}
    for name, scan in scans.items():
        try:
            data = scan.load()
        except ScanweaveError as error:
            findings.append(_refusal(error).of(name))
            continue
        if name.startswith("mask:"):
            findings += [finding.of(name) for finding in mask_findings(data)]
            continue
        data, found = scan_findings(data)
        findings += [finding.of(name) for finding in found]
        if not any(finding.status == "refused" for finding in found):
            prints[name] = fingerprint(data)
            values = sample(data, scan.geometry, positions)
            if np.isfinite(values).any():
                samples[name] = values
    return prints, samples


def _series(evidence: Sequence[Evidence]) -> dict[str, list[Finding]]:
    """Which scans are series: refused where the sequence is a volume in most studies."""
    have = Counter(name for e in evidence for name in {*e.prints, *e.frames})
    as_series = Counter(name for e in evidence for name in e.frames)
    found: dict[str, list[Finding]] = defaultdict(list)
    for e in evidence:
        for name, frames in e.frames.items():
            usual = len(evidence) > 1 and as_series[name] > have[name] / 2
            words = f"a series of {frames} frames"
            if name in SERIES or usual:
                found[e.study].append(Finding("series", "ok", words, "left out where volumes are needed", name))
            else:
                words, step = f"{words} where a volume is expected", "Name one by FILE#k in a table"
                found[e.study].append(Finding("series", "refused", words, step, name))
    return found


def _copies(evidence: Iterable[Evidence]) -> dict[str, list[Finding]]:
    """Images with the same voxels under two names."""
    by_print: dict[str, list[tuple[Evidence, str]]] = defaultdict(list)
    for e in evidence:
        for name, digest in e.prints.items():
            by_print[digest].append((e, name))
    found: dict[str, list[Finding]] = defaultdict(list)
    for same in by_print.values():
        for e, name in same if len(same) > 1 else ():
            other, twin = next((o, n) for o, n in same if (o, n) != (e, name))
            where = twin if other is e else f"{twin} of {other.study}"
            risk = "" if other.patient == e.patient else ": one patient under two names spoils every split"
            step = f"Keep one of them{risk}"
            found[e.study].append(Finding("copy", "suspect", f"the same voxels as {where}", step, name))
    return found


def _refusal(error: ScanweaveError) -> Finding:
    return Finding("unreadable", "refused", f"{Path(error.where).name}: {error.reason}", error.next_step)


def _check(cohort: Cohort, anew: bool, workers: int, progress: Progress, say: Say) -> list[Verdict]:
    path = cohort.folder / FILE
    kept = _opened(path) if path.exists() and not anew else None
    rows = {str(row["study"]): row for row in cohort.frame.to_dict("records")}
    files = {study: _files(row, cohort.root) for study, row in rows.items()}
    known = _column(kept, path, "files")
    todo = [row for study, row in rows.items() if known.get(study) != files[study]]
    if not todo:
        findings = _column(kept, path, "findings")
        return [Verdict(study, _parsed(findings[study], path, _findings)) for study in rows]
    population = {study: _parsed(text, path, _evidence) for study, text in _column(kept, path, "evidence").items()}
    progress(0, len(todo))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, one in enumerate(pool.map(lambda row: examine(row, cohort.root), todo), 1):
            population[one.study] = one
            progress(done, len(todo))
    judged = {verdict.study: verdict for verdict in judge(list(population.values()))}
    try:
        _keep(path, population, judged, known | files)
    except ScanweaveError as error:
        say(f"check: not kept, so that it is made again next time ({error.where}: {error.reason})")
    return [judged[study] for study in rows]


def _files(row: Mapping[str, Any], root: Path) -> str:
    """What tells that a study changed, as JSON: whose it is, and path, size and change time of each image."""
    told = {"patient": str(row["patient"]), "table": _has_table(row)}
    return json.dumps(told | {name: [path, *file_state(root / path)] for name, path in image_paths(row).items()})


def _keep(
    path: Path, population: Mapping[str, Evidence], judged: Mapping[str, Verdict], files: Mapping[str, str]
) -> None:
    columns = {
        "study": list(population),
        "status": [judged[study].status for study in population],
        "findings": [json.dumps([asdict(finding) for finding in judged[study].findings]) for study in population],
        "files": [files[study] for study in population],
        "evidence": [json.dumps(asdict(one)) for one in population.values()],
    }
    with atomic_write(path) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({"format": FORMAT}), temporary, compression="zstd")


def _opened(path: Path) -> pq.ParquetFile:
    try:
        kept = pq.ParquetFile(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ScanweaveError(path, f"damaged ({str(error).splitlines()[0]})", _CLEARED) from error
    if (kept.schema_arrow.metadata or {}).get(b"format") != FORMAT.encode():
        raise ScanweaveError(path, f"not the verdicts of format {FORMAT}", _CLEARED)
    return kept


def _column(kept: pq.ParquetFile | None, path: Path, name: str) -> dict[str, str]:
    """One column of the last check, by study; empty where there was none."""
    if kept is None:
        return {}
    try:
        table = kept.read(columns=["study", name])
        return dict(zip(table["study"].to_pylist(), table[name].to_pylist(), strict=True))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ScanweaveError(path, f"damaged ({str(error).splitlines()[0]})", _CLEARED) from error


def _parsed(text: str, path: Path, of: Callable[[Any], _T]) -> _T:
    try:
        return of(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ScanweaveError(path, f"damaged ({error!r})", _CLEARED) from error


def _findings(values: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**value) for value in values)


def _evidence(value: Mapping[str, Any]) -> Evidence:
    return Evidence(**{**value, "findings": _findings(value["findings"]), "profile": Profile(**value["profile"])})


def sound_studies(cohort: Cohort, workers: int, say: Say, progress: Progress = lambda done, total: None) -> Cohort:
    """The cohort as far as volumes are needed: without the studies that the check refuses, and without series.

    Args:
        cohort: Any cohort.
        workers: Studies that are read at once.
        say: Takes lines: how many studies were left out and of which kind the rest is, and what was not kept.
        progress: Called with the number of studies done and of all that must be read.

    Raises:
        ScanweaveError: Every study is refused.
    """
    found = verdicts(cohort, workers, progress, say)
    refused = [verdict.study for verdict in found if verdict.status == "refused"]
    counts = {status: sum(verdict.status == status for verdict in found) for status in ("ok", "repaired", "suspect")}
    words = " · ".join(f"{status} {count}" for status, count in counts.items() if count)
    advice = f"scanweave cohort check {cohort.folder}"
    series: dict[str, list[str]] = defaultdict(list)
    for verdict in found:
        for finding in verdict.findings:
            if (finding.kind, finding.status) == ("series", "ok"):
                series[f"scan:{finding.scan}"].append(verdict.study)
    if len(refused) == len(cohort):
        raise ScanweaveError(cohort.folder, "every study is refused by the check", f"See why: {advice}")
    named = ", ".join(f"{column[5:]} {len(studies)}" for column, studies in series.items())
    words += f" · series left out: {named}" if series else ""
    words += f" · refused and left out {len(refused)}, see {advice}" if refused else ""
    say(f"check: {words}")
    frame = cohort.frame.copy()
    for column, studies in series.items():
        frame[column] = frame[column].mask(frame["study"].isin(studies))
    return replace(cohort, frame=frame).where(~frame["study"].isin(refused))
