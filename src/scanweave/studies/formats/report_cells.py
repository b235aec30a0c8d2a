"""The report of one study from the cells of a manifest: a file of its own, or a column a section (`text:findings`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, plain_size
from scanweave.studies.formats.report_files import read_open_i, read_report
from scanweave.studies.report_languages import ENGLISH
from scanweave.studies.reports import Report, parse_report, report_of_sections

TERMS, IMAGES = "mesh", "images"
"""Columns of keywords and of names of images, which are no sections."""
SEPARATOR = "; "
"""Separator of several of them in a cell."""
WHOLE = ("report", "report_text", "text", "full_text")
"""Columns that hold all of a report, whose sections are told by its headings."""


def gather_report(paths: Mapping[str, Path]) -> Report | None:
    """Return the report of a study, of the only path that there is; None where there is none."""
    return next((read_report_cell(path) for path in paths.values()), None)


def read_report_cell(path: Path) -> Report:
    """Return the report of a text file, or of one of Open-I's XML files.

    Raises:
        ScanweaveError: It cannot be read.
    """
    plain_size(path)
    if path.suffix.lower() != ".xml":
        return read_report(path)
    found = read_open_i(path)
    if not found.reports:
        raise ScanweaveError(path, "holds no report that can be used", "Copy it again from its source")
    return next(iter(found.reports.values()))


def write_report(path: Path, report: Report) -> None:
    """Write the text of a report as UTF-8."""
    with atomic_write(path) as temporary:
        temporary.write_text(report.text, encoding="utf-8")


def study_report(written: Report | None, columns: Mapping[str, Any]) -> Report | None:
    """Return the report of a study: that of its file, or else of its columns of sections.

    Args:
        written: What its file holds.
        columns: Cells by the name of their column: `findings`, `history`, `mesh`; those of `WHOLE` are divided.
    """
    words = {name: str(cell) for name, cell in columns.items()}
    kept = {name: tuple(filter(None, words.pop(name, "").split(SEPARATOR))) for name in (TERMS, IMAGES)}
    if written is None and not words and not any(kept.values()):
        return None
    made = written or _of_columns(words)
    return replace(made, terms=kept[TERMS] or made.terms, images=kept[IMAGES] or made.images)


def report_columns(report: Report) -> dict[str, str]:
    """Return the columns of a manifest that hold a report; `study_report` is the way back."""
    sections = dict(report.sections) or ({"report": report.text} if report.text.strip() else {})
    sections |= {TERMS: SEPARATOR.join(report.terms), IMAGES: SEPARATOR.join(report.images)}
    return {f"text:{name}": words for name, words in sections.items() if words}


def _of_columns(words: Mapping[str, str]) -> Report:
    keys = {heading: key for key, headings in reversed(list(ENGLISH.headings.items())) for heading in headings}
    sections = {keys.get(name.replace("_", " "), name): text for name, text in words.items() if name not in WHOLE}
    if sections:
        return report_of_sections(sections)
    return parse_report("\n".join(text for name, text in words.items() if name in WHOLE))
