"""The report of a run: one page from what its folder holds; what is absent is named with the command that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.framework.cohort_fit import COHORT
from scanweave.framework.run_outputs import (
    KINDS,
    Kind,
    find_output,
    newest_output,
    result_file,
    result_picture,
    shape_faults,
)
from scanweave.measures.summary import row_of, sureness
from scanweave.report.blocks import Block, Figure, Section, Table
from scanweave.report.page import write_report
from scanweave.report.provenance import run_provenance
from scanweave.report.runs import RECONSTRUCTED, citation, cohort_parts, learning, not_made, titled, tried_on
from scanweave.report.saving import SUMMARY, is_summary

VERBS: dict[Kind, str] = {kind: verb for verb, kind in KINDS.items()}
Build = Callable[[Path, dict[str, Any]], Section | list[Section]]


@dataclass(frozen=True, eq=False)
class RunPage:
    """The page of a run, made of what its folder holds.

    Attributes:
        run: The run.
        named: Folders outside of the run whose results the user wants on the page.
    """

    run: Run
    named: Sequence[str | Path] = ()

    def folder(self, kind: Kind) -> Path | None:
        """Return the folder of the newest results of a kind that may be shown; None where there is none."""
        return find_output(self.run, kind, self.named)

    def record(self, kind: Kind, name: str = f"{SUMMARY}.json") -> dict[str, Any] | None:
        """Return the record of the newest results of a kind; None where there is none."""
        folder = self.folder(kind)
        path = None if folder is None else result_file(folder, name)
        if path is None:
            return None
        step = f"Remove {folder}, and make it again"
        found = read_json(path, step)
        if not isinstance(found, dict) or (name == f"{SUMMARY}.json" and not is_summary(found)):
            raise ScanweaveError(path, "is no record of results of this version", step)
        return found

    def results(self, title: str, kind: Kind, build: Build, name: str = f"{SUMMARY}.json") -> list[Section]:
        """Return the sections of the newest results of a kind, or one that tells the command by which they are made.

        Args:
            title: Of the section that stands in.
            kind: What was done.
            build: Makes the sections from the folder and the record of the results.
            name: File of the record.
        """
        folder, record = self.folder(kind), self.record(kind, name)
        if folder is None or record is None:
            elsewhere = newest_output(self.run, kind) if folder is None else None
            return [not_made(title, VERBS[kind], self.run.folder, self.run.record, elsewhere)]
        with shape_faults(folder / name, f"Remove {folder}, and make it again"):
            made = build(folder, record)
        return made if isinstance(made, list) else [made]

    def learning(self, described: Mapping[str, tuple[str, str]], stage: str | None = None) -> Section:
        """Return how the run learnt, or one stage of it; see `report.runs.learning`."""
        with shape_faults(self.run.folder / "metrics.jsonl", "Restore it, or fit again"):
            rows = [row for row in self.run.metrics() if stage is None or row.get("stage") == stage]
            return learning(rows, self.run.record, described)

    def parts(self) -> list[Block]:
        """Return the table of the parts of the cohort of the fit, if the run keeps it."""
        about = self.cohort()
        return [] if about is None else cohort_parts(about)

    def planned(self, reasons: Iterable[str], caption: str = "Planned from the training studies.") -> Table:
        """Return the reasons of plans, each "what: how and why", as a folded table."""
        parted = (reason.partition(": ") for reason in reasons)
        return Table([{"what": what, "how and why": why} for what, _, why in parted], caption, folded=True)

    def cohort(self) -> dict[str, Any] | None:
        """Return what the run keeps of the cohort of the fit; None where it keeps nothing."""
        path = result_file(self.run.folder, COHORT)
        if path is None:
            return None
        about: dict[str, Any] = read_json(path, "Remove it")
        with shape_faults(path, "Remove it"):
            cohort_parts(about)
        return about

    def measured(
        self,
        title: str,
        measures: Mapping[str, tuple[str, str]],
        *,
        caption: str,
        lead: str = "",
        pictures: Mapping[str, str] | None = None,
    ) -> list[Section]:
        """Return the evaluation as one section: a table of means by what was measured, and pictures.

        Args:
            title: Of the section.
            measures: Measures of the summary to show: the heading of each, and the format of its values.
            caption: Of the table.
            lead: What else a reader must know of the figures.
            pictures: Files of the evaluation, each with its caption; those that are absent are left out.
        """

        def build(folder: Path, record: dict[str, Any]) -> Section:
            summary = pd.DataFrame(record["rows"])
            told = " ".join(filter(None, (tried_on(record), sureness(summary["patients"]), lead)))
            table = Table(summary_rows(summary, measures), caption, dict(measures.values()))
            return Section(title, told, [table, *figures(folder, pictures or {})])

        return self.results(title, "evaluation", build)

    def standard(
        self,
        title: str,
        lead: str,
        sections: Sequence[Section],
        *,
        metrics: Mapping[str, tuple[str, str]],
        paper: str,
        path: str | Path | None = None,
    ) -> Path:
        """Write a page of the usual order: what was learnt from, how, and the sections of a system that makes images.

        Args:
            title: As in `write`.
            lead: As in `write`.
            sections: What follows.
            metrics: As in `learning`.
            paper: As in `write`.
            path: As in `write`.
        """
        first = [Section("What it learnt from", "", self.parts()), self.learning(metrics)]
        return self.write(path, title, lead, [*first, *sections], paper=paper, closing=RECONSTRUCTED)

    def write(
        self,
        path: str | Path | None,
        title: str,
        lead: str,
        sections: Sequence[Section],
        *,
        paper: str,
        closing: str = "",
        provenance: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the page.

        Args:
            path: The file; None: `report.html` in the run.
            title: What was done; the name of the run's folder follows.
            lead: What it is, in a sentence.
            sections: In order.
            paper: BibTeX entry of the method.
            closing: The last line.
            provenance: What else tells where the page comes from.
        """
        return write_report(
            Path(path) if path is not None else self.run.own_folder / "report.html",
            titled(title, self.run.folder),
            lead,
            sections,
            {**run_provenance(self.run.record, self.run.config), **(provenance or {})},
            citation(paper, self.run.record),
            closing,
        )


def summary_rows(summary: pd.DataFrame, measures: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Return a row for each thing that was measured: its keys, and the mean and interval of each measure.

    Args:
        summary: Rows of `measures.summary.summarise`.
        measures: Measures to show: the heading of each, and the format of its values.
    """
    columns = list(summary.columns)
    keys = columns[: columns.index("measure")]
    return [
        own | {heading: row_of(summary, name, **own) for name, (heading, _) in measures.items()}
        for own in summary[keys].drop_duplicates().to_dict("records")
    ]


def figures(folder: Path, captions: Mapping[str, str]) -> Iterator[Figure]:
    """Yield the pictures of a folder that are there, each with its caption."""
    for name, caption in captions.items():
        picture = result_picture(folder, name)
        if picture is not None:
            yield Figure(picture, caption, caption)
