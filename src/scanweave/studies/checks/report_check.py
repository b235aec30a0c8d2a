"""Checks of the reports of a cohort: those that say nothing, and those that repeat another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS, cells
from scanweave.studies.findings import Finding, Verdict
from scanweave.studies.formats.report_cells import gather_report, study_report
from scanweave.studies.reports import digest_words, is_empty
from scanweave.wording import count

COPY, EMPTY, UNREAD = "report-copy", "report-empty", "report-unread"
AS_EQUAL = "counted as equal, not as wrong pairs"


def examine_report(row: Mapping[str, Any], root: Path) -> tuple[str, list[Finding]]:
    """Return the hash of the words of a study's report, "" where it says nothing, and what was found.

    Args:
        row: Of a manifest.
        root: Folder that the paths are relative to.
    """
    paths = {c.name: root / str(cell) for c, cell in cells(row) if c.kind is KINDS["report"]}
    words = {c.name: cell for c, cell in cells(row) if c.kind is KINDS["text"]}
    try:
        report = study_report(gather_report(paths), words)
    except ScanweaveError as error:
        return "", [Finding(UNREAD, "refused", f"{Path(error.where).name}: {error.reason}", error.next_step, "report")]
    if report is None:
        return "", []
    if is_empty(report):
        told = "the report says nothing of what is seen"
        return "", [Finding(EMPTY, "suspect", told, "left out of learning", "report")]
    return digest_words(report), []


def repeated_reports(digests: Iterable[tuple[str, str]]) -> dict[str, list[Finding]]:
    """Return a finding for each study whose report has the words of an earlier one.

    Args:
        digests: Study and hash of the words of its report, in order; "": none.
    """
    first: dict[str, str] = {}
    found: dict[str, list[Finding]] = defaultdict(list)
    for study, digest in digests:
        if digest and first.setdefault(digest, study) != study:
            words = f"the same words as that of {first[digest]}"
            found[study].append(Finding(COPY, "ok", words, AS_EQUAL, "report"))
    return found


def report_verdicts(cohort: Cohort, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return one verdict on the reports of a cohort: how many are empty, and how many repeat another.

    Args:
        cohort: Whose studies were judged.
        verdicts: Those on its studies.
    """
    headings = [column.heading for column in cohort.present("report", "text")]
    kinds = [finding.kind for verdict in verdicts for finding in verdict.findings]
    empty, copies = kinds.count(EMPTY), kinds.count(COPY)
    if not headings or not (empty or copies):
        return []
    reports = int(cohort.frame[headings].notna().any(axis=1).sum()) - kinds.count(UNREAD)
    found = []
    if copies:
        words = f"{count(copies, 'report')} of {reports - empty:,} repeat another ({copies / (reports - empty):.1%})"
        found.append(Finding(COPY, "ok", words, AS_EQUAL))
    if empty:
        words = f"{count(empty, 'report')} of {reports:,} say nothing of what is seen"
        found.append(Finding(EMPTY, "suspect", words, "left out of learning"))
    return [Verdict("report", tuple(found))]
