"""The report of a run: one page from what its folder holds; what is absent is named with the command that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanweave.engine.run import Run
from scanweave.files import read_json
from scanweave.framework.cohort_fit import COHORT
from scanweave.framework.run_outputs import Kind, find_output
from scanweave.report.blocks import Block, Figure, Section
from scanweave.report.page import write_report
from scanweave.report.provenance import run_provenance
from scanweave.report.runs import citation, learning, not_made, parts_table, titled
from scanweave.report.saving import SUMMARY

VERBS: dict[Kind, str] = {"evaluation": "evaluate", "ranking": "rank", "explanation": "explain"}
Build = Callable[[Path, dict[str, Any]], Section | list[Section]]


@dataclass(frozen=True, eq=False)
class RunPage:
    """What the page of a run is made of.

    Attributes:
        run: The run.
    """

    run: Run

    def record(self, kind: Kind, name: str = f"{SUMMARY}.json") -> dict[str, Any] | None:
        """Return the record of the newest results of a kind; None where there is none."""
        folder = find_output(self.run, kind)
        if folder is None or not (folder / name).is_file():
            return None
        found: dict[str, Any] = read_json(folder / name, f"Remove {folder}, and make it again")
        return found

    def results(self, title: str, kind: Kind, build: Build, name: str = f"{SUMMARY}.json") -> list[Section]:
        """Return the sections of the newest results of a kind, or one that tells the command by which they are made.

        Args:
            title: Of the section that stands in.
            kind: What was done.
            build: Makes the sections from the folder and the record of the results.
            name: File of the record.
        """
        folder, record = find_output(self.run, kind), self.record(kind, name)
        if folder is None or record is None:
            return [not_made(title, VERBS[kind], self.run.folder, self.run.record)]
        made = build(folder, record)
        return made if isinstance(made, list) else [made]

    def learning(self, described: Mapping[str, tuple[str, str]]) -> Section:
        """Return how the run learnt; see `report.runs.learning`."""
        return learning(self.run.metrics(), self.run.record, described)

    def parts(self) -> list[Block]:
        """Return the table of the parts of the cohort of the fit, if the run keeps it."""
        path = self.run.folder / COHORT
        return [parts_table(read_json(path, "Remove it"))] if path.is_file() else []

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
            Path(path) if path is not None else self.run.folder / "report.html",
            titled(title, self.run.folder),
            lead,
            sections,
            {**run_provenance(self.run.record, self.run.config), **(provenance or {})},
            citation(paper, self.run.record),
            closing,
        )


def figures(folder: Path, captions: Mapping[str, str]) -> Iterator[Figure]:
    """Yield the pictures of a folder that are there, each with its caption."""
    for name, caption in captions.items():
        if (folder / name).is_file():
            yield Figure((folder / name).read_bytes(), caption, caption)
