"""Reports of the studies of a cohort, as a system reads them: the sentences of some sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from scanweave.errors import ScanweaveError
from scanweave.framework.reported.text_plan import LANGUAGES
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import cells
from scanweave.studies.formats.report_cells import read_report_cell, study_report
from scanweave.studies.report_languages import Language
from scanweave.studies.reports import CONTENT, PREAMBLE, Report, digest_words, is_empty, parse_report

COLUMNS = ("report", "text")
"""Kinds of columns of a manifest that hold reports."""


class StudyText(NamedTuple):
    """A report as it is read.

    Attributes:
        sentences: Of the sections that are read, in order.
        key: Hash of its words: equal for reports that say the same in the same words.
    """

    sentences: tuple[str, ...]
    key: str

    def of(self, sentences: tuple[str, ...]) -> StudyText:
        """Return some sentences of it alone."""
        return StudyText(sentences, digest_words(Report(" ".join(sentences)), ()))


def text_of(report: Report, sections: tuple[str, ...], language: str) -> StudyText:
    """Return a report as it is read; of a text without sections, all of it.

    Where it has none of the sections, what stands before the first heading is read.

    Raises:
        ScanweaveError: It says nothing of what is seen, or has none of the sections.
    """
    report = _in_language(report, LANGUAGES[language])
    if is_empty(report):
        raise ScanweaveError("report", "says nothing of what is seen", "Leave the study out")
    asked = sections if any(name in report.sections for name in sections) else (PREAMBLE,)
    there = tuple(name for name in asked if name in report.sections)
    if report.sections and not there:
        found = ", ".join(report.sections)
        raise ScanweaveError("report", f"has no {' or '.join(sections)} (but {found})", "Name others by text.sections")
    return StudyText(report.sentences(*there), digest_words(report, there or sections))


def _in_language(report: Report, language: Language) -> Report:
    """Return a report by the headings and abbreviations of its language, whatever it was read by before."""
    if report.language == language:
        return report
    keys = {word: key for key, words in reversed(list(language.headings.items())) for word in words}
    named = {keys.get(name.replace("_", " "), name): text for name, text in report.sections.items()}
    anew = parse_report(report.text, language).sections
    known = [name for name in (*CONTENT[:2], "indication") if name in anew]
    return replace(report, sections=anew if known else named, language=language)


def report_of_row(row: Mapping[Any, Any], root: Path) -> Report | None:
    """Return the report of a row of a manifest without reading anything else of the study; None: it has none.

    Raises:
        ScanweaveError: Its file cannot be read.
    """
    written, columns = None, dict[str, Any]()
    for column, value in cells(row):
        if column.kind.name == "report":
            written = read_report_cell(root / str(value))
        elif column.kind.name == "text":
            columns[column.name] = value
    return study_report(written, columns)


def texts_of(cohort: Cohort, sections: tuple[str, ...], language: str) -> tuple[dict[str, StudyText], dict[str, str]]:
    """Return the reports of a cohort as they are read, by study; and why the others are not, by study.

    Args:
        cohort: The studies.
        sections: As in `TextSettings`.
        language: Likewise.
    """
    found, absent = dict[str, StudyText](), dict[str, str]()
    for row in cohort.frame.to_dict("records"):
        name = str(row["study"])
        try:
            report = report_of_row(row, cohort.root)
            if report is None:
                absent[name] = "has no report"
            else:
                found[name] = text_of(report, sections, language)
        except ScanweaveError as error:
            absent[name] = f"its report {error.reason}"
    return found, absent
