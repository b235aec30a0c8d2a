"""Cohorts and runs that a page shows, known to it by numbers and never by paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanweave.engine.run import Run
from scanweave.engine.weight_sources import BUILTIN, builtin_runs, find_run
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain
from scanweave.framework.run_outputs import KINDS, holds, newest_output
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.study import Study
from scanweave.systems import registry
from scanweave.web.results import Results

RUN = "config.json"
DEEP = 3
"""Folders below a root that are looked into."""
MOST = 500
"""Cohorts and runs that are taken in."""


@dataclass
class Workspace:
    """Hold what there is to look at.

    Attributes:
        roots: Folders that are looked into.
        cohorts: By number.
        runs: By number.
        results: Of the runs, by number.
    """

    roots: Sequence[Path]
    cohorts: list[Cohort] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    results: list[Results] = field(default_factory=list)

    def __post_init__(self) -> None:
        for root in self.roots:
            self.add(root)
        for source in builtin_runs():
            self._add_run(source)

    def add(self, root: Path) -> int:
        """Take in what a folder holds; return how many cohorts and runs are new.

        Raises:
            ScanweaveError: There is no such folder.
        """
        root = root.absolute()  # jobs run in a folder of their own
        if not root.is_dir():
            raise ScanweaveError(root, "there is no such folder", "Name a cohort, a run, or a folder with some")
        before = len(self.cohorts) + len(self.runs)
        known = {one.folder.resolve() for one in self.cohorts} | {one.folder.resolve() for one in self.runs}
        for folder in _folders(root, DEEP):
            if folder.resolve() in known or len(known) >= MOST:
                continue
            known.add(folder.resolve())
            if is_plain(folder / RUN):
                self._add_run(str(folder))
            elif is_plain(folder / ABOUT):
                self._add_cohort(folder)
        return len(self.cohorts) + len(self.runs) - before

    def _add_cohort(self, folder: Path) -> None:
        try:
            self.cohorts.append(Cohort.open(folder))
        except ScanweaveError:
            return  # a damaged one is nothing to look at; cohort check says why

    def _add_run(self, source: str) -> None:
        try:
            run = find_run(source)
            if run.finished:
                registry.entry(str(run.record.get("system"))).plan(run.folder)
                self.runs.append(run)
                for verb, kind in KINDS.items():
                    folder = newest_output(run, kind)
                    if folder is not None:
                        self.add_results(run.folder, verb, folder)
        except ScanweaveError:
            return  # of another version, or damaged: the verbs say why

    def add_results(self, home: Path, verb: str, folder: Path) -> None:
        """Take in what a verb found.

        Args:
            home: Folder of the run.
            verb: evaluate, rank or explain; of others there is nothing to show.
            folder: Where it lies.
        """
        run = next((one for one in self.runs if one.folder == home), None)
        if run is None or verb not in KINDS or any(one.folder == folder for one in self.results):
            return
        if holds(folder, KINDS[verb]):
            self.results.append(Results(source_of(run), verb, folder, home))

    def result(self, number: int) -> Results:
        """Return results of a run.

        Raises:
            ScanweaveError: There are none of that number.
        """
        return self.results[_place(number, self.results, "results")]

    def cohort(self, number: int) -> Cohort:
        """Return a cohort.

        Raises:
            ScanweaveError: There is none of that number.
        """
        return self.cohorts[_place(number, self.cohorts, "cohort")]

    def run(self, number: int) -> Run:
        """Return a run.

        Raises:
            ScanweaveError: There is none of that number.
        """
        return self.runs[_place(number, self.runs, "run")]

    def study(self, cohort: int, number: int) -> Study:
        """Return a study of a cohort.

        Raises:
            ScanweaveError: There is none of that number.
        """
        own = self.cohort(cohort)
        return own[own.studies[_place(number, own.studies, "study")]]

    def told(self) -> dict[str, Any]:
        """Return what the page has to know of all of them."""
        return {
            "cohorts": [_cohort_told(number, one) for number, one in enumerate(self.cohorts)],
            "runs": [_run_told(number, one) for number, one in enumerate(self.runs)],
            "results": [
                {"id": number, "title": one.title, "tables": one.tables()} for number, one in enumerate(self.results)
            ],
        }


def _place(number: int, several: Sequence[Any], kind: str) -> int:
    if not 0 <= number < len(several):
        raise ScanweaveError(kind, f"there is no {kind} {number}", "Load the page again")
    return number


def _folders(root: Path, deep: int) -> Iterator[Path]:
    """Yield a folder and those below it; what is in a cohort or a run is its own affair."""
    yield root
    if deep == 0 or is_plain(root / ABOUT) or is_plain(root / RUN):
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and not path.is_symlink():
            yield from _folders(path, deep - 1)


def _cohort_told(number: int, cohort: Cohort) -> dict[str, Any]:
    return {
        "id": number,
        "name": str(cohort.about.get("name") or cohort.folder.name),
        "studies": list(cohort.studies),
        "scans": cohort.names("scan"),
        "masks": cohort.names("mask"),
        "predicted": cohort.about.get("layout") == "predictions",
    }


def source_of(run: Run) -> str:
    """Return what a command and a person call a run: its folder's name, or builtin:NAME."""
    return BUILTIN + run.folder.name if run.shipped else run.folder.name


def _run_told(number: int, run: Run) -> dict[str, Any]:
    entry = registry.entry(str(run.record["system"]))
    plan = entry.plan(run.folder)
    return {
        "id": number,
        "name": source_of(run),
        "system": entry.title,
        "targets": list(plan.targets),
        "sources": [column.removeprefix("scan:") for column in plan.sources],
        "report": is_plain(run.folder / "report.html"),
    }
