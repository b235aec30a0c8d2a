"""Check of whether the studies of a cohort can be used, study by study, in words; and the last verdicts on disk.

A study is judged in the light of its population: all studies of the cohort's folder, as they were when last checked.
Which sequence is a series, which voxels stand there twice and which names look exchanged is told by comparison, so one
study that is new or changed has all judged again, from what the last check noted. Where nothing changed, the verdicts
of the last check stand.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter

from scanweave.errors import ScanweaveError, reason_of
from scanweave.external import resolve
from scanweave.files import atomic_write, plain_size
from scanweave.studies.checks.compared_studies import Evidence, copied_scans, flat_scans, series_scans
from scanweave.studies.checks.grid_check import grid_findings, mask_fault, unplaced_findings
from scanweave.studies.checks.hounsfield_check import hounsfield_findings, is_ct
from scanweave.studies.checks.last_check import VERDICTS as FILE
from scanweave.studies.checks.last_check import LastCheck, cohort_files, keep_last_check
from scanweave.studies.checks.report_check import examine_report, repeated_reports, report_verdicts
from scanweave.studies.checks.series_check import sidecar_states, time_findings, timing_words
from scanweave.studies.checks.swapped_names import Profile, lattice, profile, sample, swapped
from scanweave.studies.checks.voxel_check import fingerprint, mask_findings, mask_values, scan_findings
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS, Column, cells, file_cells
from scanweave.studies.findings import Finding, Verdict, parse_findings
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.parquet_files import read_arrow
from scanweave.studies.formats.placed_volume import UNPLACED
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.plan import reference_grid
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

FORMAT = "1"
"""Format of the kept verdicts; another is checked anew."""
RULES = 2
"""Version of the rules for boxes and reports: what was judged by earlier ones, as in 0.1.0, is judged again."""
_CLEARED = "Remove the file; it is made again by: scanweave cohort check COHORT"
Progress = Callable[[int, int], None]
Say = Callable[[str], None]
_T = TypeVar("_T")


def _aside(line: str) -> None:
    print(line, file=sys.stderr)


def check_study(row: Mapping[str, Any], root: Path) -> Verdict:
    """Check one study, a row of a manifest, on its own.

    Args:
        row: `study`, `patient` and the columns of `studies.columns`.
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
    return _check(cohort, True, workers, progress, say)[0]


def verdicts(
    cohort: Cohort, workers: int = 2, progress: Progress = lambda done, total: None, say: Say = _aside
) -> list[Verdict]:
    """Return the verdicts of all studies, as `check_cohort`; reads only files that changed since the last check.

    Raises:
        ScanweaveError: The verdicts of the last check are damaged.
    """
    return _check(cohort, False, workers, progress, say)[0]


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
        progress: Called with the number of studies done, those that did not change among them, and of all.
        say: Takes lines: that the last verdicts are damaged, or that the folder cannot be written to.
    """
    made_of = cohort_files(cohort.folder)
    try:
        found, files, unread = _check(cohort, again, workers, progress, say)
    except ScanweaveError as error:
        if error.where != str(cohort.folder / FILE):
            raise
        say(f"check: the last verdicts cannot be used, so all studies are read ({FILE}: {error.reason})")
        found, files, unread = _check(cohort, True, workers, progress, say)
    tables = bool(cohort.names("table"))
    columns = report_verdicts(cohort, found)
    if tables or cohort.names("label"):
        from scanweave.studies.tables.table_check import check_table

        columns += check_table(cohort)
    done = LastCheck(found, columns, tables, bool(cohort.names("label")), unread)
    states = {study: _file_states(told) for study, told in files.items()}
    made_of[FILE] = file_state(cohort.folder / FILE)
    try:
        keep_last_check(cohort.folder, done, states, made_of)
    except ScanweaveError as error:
        say(f"check: not kept, so that it is made again next time ({error.where}: {error.reason})")
    return done


def examine(row: Mapping[str, Any], root: Path) -> Evidence:
    """Open every file of one study and note what it shows."""
    opened: dict[Column, Scan] = {}
    findings: list[Finding] = []
    files = sorted(((c, cell) for c, cell in cells(row) if c.kind.files), key=lambda pair: not pair[0].kind.image)
    for column, cell in files:  # images first: boxes are judged beside them
        try:
            if column.kind.image:
                opened[column] = column.kind.read(root / str(cell))
            elif column.kind.check:
                scans = {c.name: scan for c, scan in opened.items() if c.kind is KINDS["scan"]}
                findings += [one.of(column.shown) for one in resolve(column.kind.check)(root / str(cell), scans)]
        except ScanweaveError as error:
            findings.append(_refusal(error).of(column.shown))
    report, found = examine_report(row, root)
    findings += found
    study, patient = str(row["study"]), str(row["patient"])
    findings += [one.of(column.shown) for column, scan in opened.items() for one in (*scan.notes, *time_findings(scan))]
    images = {column.name: scan for column, scan in opened.items() if column.kind is KINDS["scan"]}
    if not images:
        if not any(True for _ in cells(row)):
            reason = "has no scan, report, label or table"
            findings.append(Finding("empty", "refused", reason, "Leave it out, or add its images"))
        return Evidence(study, patient, tuple(findings), report=report)
    placed = {name: scan for name, scan in images.items() if scan.geometry.is_placed}
    grid = reference_grid(Study(study, patient, placed)) if placed else None
    found = _examine_grids(opened, images, grid)
    measured = any(column.kind is KINDS["sinogram"] for column, _ in cells(row))  # a slice is all that there can be
    findings += [finding for finding in found if not (measured and finding.kind == "slices")]
    seen = _examine_voxels(opened, None if grid is None else lattice(grid), findings)
    return Evidence(
        study,
        patient,
        tuple(findings),
        frames={name: scan.frames for name, scan in images.items() if scan.frames},
        timing={name: timing_words(scan) for name, scan in images.items() if scan.frames},
        prints=seen.prints,
        profile=profile(seen.samples) if seen.samples else Profile(),
        depths={} if measured else {name: min(scan.geometry.shape) for name, scan in placed.items()},
        values=seen.values,
        report=report,
    )


def _examine_grids(opened: Mapping[Column, Scan], images: Mapping[str, Scan], grid: Geometry | None) -> list[Finding]:
    """List what is peculiar about the grids of a study; each film has its own grid, on which its mask must lie."""
    flat = [scan.geometry for scan in images.values() if not scan.geometry.is_placed]
    grids = {column.shown: scan.geometry for column, scan in opened.items()}
    masks = {
        column.shown
        for column, scan in opened.items()
        if column.kind is KINDS["mask"] and (grid is None or not scan.geometry.is_placed)
    }
    faults = [(name, mask_fault(grids[name], flat)) for name in sorted(masks)]
    findings = [fault.of(name) for name, fault in faults if fault]
    compared = {name: one for name, one in grids.items() if name not in masks}
    reference = next((name for name, scan in sorted(images.items()) if scan.geometry is grid), None)
    unplaced = {c.shown for c, scan in opened.items() if any(note.kind == UNPLACED for note in scan.notes)}
    return findings + grid_findings(compared, reference) + unplaced_findings(compared, unplaced & set(compared))


def judge(evidence: Sequence[Evidence]) -> list[Verdict]:
    """Return the verdict on each study, in the light of the others."""
    series, copies, flat = series_scans(evidence), copied_scans(evidence), flat_scans(evidence)
    exchanged = swapped([e.profile for e in evidence])
    repeated = repeated_reports((e.study, e.report) for e in evidence)
    told: dict[str, list[Finding]] = {
        e.study: [*e.findings, *flat[e.study], *series[e.study], *copies[e.study], *repeated[e.study]] for e in evidence
    }
    return [
        Verdict(e.study, (*told[e.study], *((swap,) if swap else ())))
        for e, swap in zip(evidence, exchanged, strict=True)
    ]


def image_paths(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a manifest row's files by column: `scan:<name>`, `mask:<name>`, `sinogram:<name>`, `report`, `boxes`."""
    return file_cells(row)


def _has_table(row: Mapping[str, Any]) -> bool:
    return any(not column.kind.files for column, _ in cells(row))


@dataclass
class _Seen:
    """Findings from the voxels of a study's images."""

    prints: dict[str, str] = field(default_factory=dict)
    samples: dict[str, NDArray[np.floating]] = field(default_factory=dict)
    values: dict[str, list[int]] = field(default_factory=dict)


def _examine_voxels(
    opened: Mapping[Column, Scan], positions: NDArray[np.floating] | None, findings: list[Finding]
) -> _Seen:
    """Read one image after the other and hold none; fills `findings`. Films have no value at `positions`."""
    seen = _Seen()
    for column, scan in opened.items():
        try:
            data = scan.load()
        except ScanweaveError as error:
            findings.append(_refusal(error).of(column.shown))
            continue
        if column.kind is KINDS["mask"]:
            findings += [finding.of(column.shown) for finding in mask_findings(data)]
            if scan.frames:
                words, step = f"a label map of {scan.frames} frames", "Name one by FILE#k in a table"
                findings.append(Finding("series", "refused", words, step, column.shown))
            seen.values[column.name] = mask_values(data)
            continue
        data, found = scan_findings(data, series=scan.frames is not None)
        findings += [finding.of(column.shown) for finding in found]
        if any(finding.status == "refused" for finding in found):
            continue
        seen.prints[column.name] = fingerprint(data)
        if is_ct(column.name) and scan.geometry.is_placed and not scan.channels:
            findings += [finding.of(column.shown) for finding in hounsfield_findings(data)]
        if positions is not None and scan.geometry.is_placed:
            values = sample(data, scan.geometry, positions)
            if np.isfinite(values).any():
                seen.samples[column.name] = values
    return seen


def _refusal(error: ScanweaveError) -> Finding:
    return Finding("unreadable", "refused", f"{Path(error.where).name}: {error.reason}", error.next_step)


def _check(
    cohort: Cohort, anew: bool, workers: int, progress: Progress, say: Say
) -> tuple[list[Verdict], dict[str, str], int]:
    """Return the verdicts, what `_files` told of each study before it was read, and how many were not read."""
    if workers < 1:
        raise ScanweaveError("workers", f"{workers} is too small", "Give 1 or more")
    path = cohort.folder / FILE
    kept = _opened(path) if path.exists() and not anew else None
    rows = {str(row["study"]): row for row in cohort.frame.to_dict("records")}
    files = {study: _files(row, cohort.root) for study, row in rows.items()}
    known = _column(kept, path, "files")
    todo = [row for study, row in rows.items() if known.get(study) != files[study]]
    if not todo:
        findings = _column(kept, path, "findings")
        return [Verdict(study, _parsed(findings[study], path, parse_findings)) for study in rows], files, len(rows)
    population = {study: _parsed(text, path, _evidence) for study, text in _column(kept, path, "evidence").items()}
    if any(one.study != study for study, one in population.items()):
        raise ScanweaveError(path, "damaged (the verdict of one study stands at another)", _CLEARED)
    unread = len(rows) - len(todo)
    progress(unread, len(rows))
    with ThreadPoolExecutor(workers) as pool:
        for done, one in enumerate(pool.map(lambda row: examine(row, cohort.root), todo), unread + 1):
            population[one.study] = one
            progress(done, len(rows))
    judged = {verdict.study: verdict for verdict in judge(list(population.values()))}
    try:
        _keep(path, population, judged, known | files)
    except ScanweaveError as error:
        say(f"check: not kept, so that it is made again next time ({error.where}: {error.reason})")
    return [judged[study] for study in rows], files, unread


def seen_values(cohort: Cohort, mask: str) -> list[int] | None:
    """Return the numbers that the last check saw in label maps of that name; None if the cohort was never checked.

    Raises:
        ScanweaveError: The verdicts of the last check are damaged.
    """
    path = cohort.folder / FILE
    if not path.exists():
        return None
    kept, own = _opened(path), set(cohort.studies)
    if kept is None:
        return None
    evidence = [
        _parsed(text, path, _evidence) for study, text in _column(kept, path, "evidence").items() if study in own
    ]
    return sorted({value for one in evidence for value in one.values.get(mask, ())})


def _files(row: Mapping[str, Any], root: Path) -> str:
    """Return, as JSON, what tells that a study changed: its patient; path, size and change time of each image."""
    told: dict[str, Any] = {"patient": str(row["patient"]), "table": _has_table(row)}
    words = [str(cell) for column, cell in cells(row) if column.kind is KINDS["text"]]
    if any(column.kind.name in ("boxes", "report") for column, _ in cells(row)):
        told["rules"] = RULES
    if any(column.kind is KINDS["scan"] and is_ct(column.name) for column, _ in cells(row)):
        told["hounsfield"] = True  # what earlier versions judged without it is judged again
    if words:
        told["text"] = hashlib.sha256("\0".join(words).encode()).hexdigest()
    told |= sidecar_states(row, root)
    return json.dumps(told | {name: [path, *file_state(root / path)] for name, path in image_paths(row).items()})


def _file_states(told: str) -> list[list[Any]]:
    """Return path, size and change time of each image, of what `_files` told."""
    return [one for one in json.loads(told).values() if isinstance(one, list)]


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


def _opened(path: Path) -> pq.ParquetFile | None:
    """Open the last verdicts; None where another version of scanweave wrote them in its way: then all is read anew."""
    plain_size(path, _CLEARED)
    try:
        kept = pq.ParquetFile(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ScanweaveError(path, f"damaged ({reason_of(error)})", _CLEARED) from error
    written = (kept.schema_arrow.metadata or {}).get(b"format")
    if written is None:
        raise ScanweaveError(path, "holds no verdicts of scanweave", _CLEARED)
    if written != FORMAT.encode():
        return None
    if any(not pa.types.is_string(field.type) for field in kept.schema_arrow):
        raise ScanweaveError(path, "damaged (a column holds no text)", _CLEARED)
    return kept


def _column(kept: pq.ParquetFile | None, path: Path, name: str) -> dict[str, str]:
    """Return one column of the last check, by study; empty where there was none."""
    if kept is None:
        return {}
    try:
        table = read_arrow(path, ["study", name])
        return dict(zip(table["study"].to_pylist(), table[name].to_pylist(), strict=True))
    except (OSError, pa.ArrowException, KeyError, ValueError, OverflowError) as error:
        raise ScanweaveError(path, f"damaged ({reason_of(error)})", _CLEARED) from error


def _parsed(text: str, path: Path, of: Callable[[Any], _T]) -> _T:
    try:
        return of(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ScanweaveError(path, f"damaged ({error!r})", _CLEARED) from error


@cache
def _evidence_adapter() -> TypeAdapter[Evidence]:
    return TypeAdapter(Evidence)


def _evidence(value: object) -> Evidence:
    return _evidence_adapter().validate_python(value)


def sound_studies(
    cohort: Cohort,
    workers: int,
    say: Say,
    progress: Progress = lambda done, total: None,
    *,
    series: Collection[str] = (),
) -> Cohort:
    """Return the cohort as far as volumes need it: without the studies that the check refuses, and without series.

    Args:
        cohort: Any cohort.
        workers: Studies that are read at once.
        say: Takes lines: how many studies were left out and of which kind the rest is, and what was not kept.
        progress: Called with the number of studies done, those that did not change among them, and of all.
        series: Names of scans that stay where they are series.

    Raises:
        ScanweaveError: Every study is refused.
    """
    found = verdicts(cohort, workers, progress, say)
    return _sound(cohort, found, {name: ids for name, ids in _series_in(found).items() if name not in series}, say)


def sound_with_series(
    cohort: Cohort, workers: int, say: Say, progress: Progress = lambda done, total: None
) -> tuple[Cohort, tuple[str, ...]]:
    """Return the cohort without the studies that the check refuses, and the names of scans that are series in some.

    The arguments are those of `sound_studies`.

    Raises:
        ScanweaveError: Every study is refused.
    """
    found = verdicts(cohort, workers, progress, say)
    return _sound(cohort, found, {}, say), tuple(_series_in(found))


def _series_in(found: Iterable[Verdict]) -> dict[str, list[str]]:
    """Return the studies of sound series by the name of the scan."""
    series: dict[str, list[str]] = defaultdict(list)
    for verdict in found:
        for finding in verdict.findings:
            if (finding.kind, finding.status) == ("series", "ok") and verdict.status != "refused":
                series[str(finding.scan)].append(verdict.study)
    return series


def _sound(cohort: Cohort, found: Sequence[Verdict], left_out: Mapping[str, Sequence[str]], say: Say) -> Cohort:
    """Leave out refused studies, and scans that are series: name → studies."""
    refused = [verdict.study for verdict in found if verdict.status == "refused"]
    counts = {status: sum(verdict.status == status for verdict in found) for status in ("ok", "repaired", "suspect")}
    words = " · ".join(f"{status} {count}" for status, count in counts.items() if count)
    advice = f"scanweave cohort check {cohort.folder}"
    if len(refused) == len(cohort):
        raise ScanweaveError(cohort.folder, "every study is refused by the check", f"See why: {advice}")
    named = ", ".join(f"{name} {len(studies)}" for name, studies in left_out.items())
    words += f" · series left out: {named}" if left_out else ""
    words += f" · refused and left out {len(refused)}, see {advice}" if refused else ""
    say(f"check: {words}")
    frame = cohort.frame.copy()
    for name, studies in left_out.items():
        frame[f"scan:{name}"] = frame[f"scan:{name}"].mask(frame["study"].isin(studies))
    return replace(cohort, frame=frame).where(~frame["study"].isin(refused))
