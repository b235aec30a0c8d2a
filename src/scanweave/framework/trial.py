"""A trial of a fitted run on studies: which ones, one after the other, who is left out and why, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.run_outputs import Kind, note_output
from scanweave.framework.study_selection import Choice, select_studies
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_summary, save_table
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study

T = TypeVar("T")
Say = Callable[[str], None]
DONE: dict[Kind, str] = {"evaluation": "evaluated", "ranking": "ranked", "explanation": "explained"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One evaluation, ranking or explanation of a run.

    Attributes:
        run: The fitted run.
        kind: What is done.
        folder: Where its results go.
        cohort: The studies that were chosen.
        about: Which they are and of which run, as plain values; equal for equal choices.
        say: Takes lines about choices and results.
        left_out: The reason for each study that could not be used.
    """

    run: Run
    kind: Kind
    folder: Path
    cohort: Cohort
    about: dict[str, Any]
    say: Say = print
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        run: Run,
        cohort: Cohort,
        kind: Kind,
        *,
        out: str | Path | None = None,
        part: Choice | None = None,
        say: Say = print,
    ) -> Trial:
        """Choose the studies of a trial.

        Args:
            run: The fitted run.
            cohort: Where the studies come from.
            kind: What is done.
            out: Folder of the results; None: `kind` in the run.
            part: Which studies; None: the test part of the run's own cohort, of another all that the fit did not see.
            say: Takes lines about choices and results.

        Raises:
            ScanweaveError: No study is left.
        """
        chosen = select_studies(run, cohort, part, say)
        folder = Path(out) if out is not None else run.folder / kind
        return cls(run, kind, folder, chosen.cohort, chosen.about, say)

    def each(self, measure: Callable[[Study], T]) -> Iterator[tuple[str, T]]:
        """Measure the studies one by one, a study in memory at a time; leave out and name those that fail.

        Yields:
            The name of a study and what was found.

        Raises:
            ScanweaveError: None could be measured.
        """
        done = 0
        for name in self.cohort.studies:
            try:
                found = measure(self.cohort[name])
            except ScanweaveError as error:
                self.leave_out(name, error)
            else:
                done += 1
                yield name, found
        if not done:
            raise ScanweaveError(self.cohort.folder, f"no study could be {DONE[self.kind]}", "See the lines above")

    def leave_out(self, study: str, error: ScanweaveError) -> None:
        """Note a study that cannot be used, and say why."""
        self.left_out[study] = error.reason
        self.say(f"left out: {error}")

    def tabulate(
        self,
        rows: Sequence[Mapping[str, Any]],
        keys: Sequence[str],
        measures: Sequence[str],
        file: str,
        *,
        seed: int = 0,
        **about: Any,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write what was measured as a table, sum it up over patients, and conclude the trial.

        Args:
            rows: One a study and key: `study`, `patient`, the keys, and a value a measure.
            keys: Columns that tell what was measured.
            measures: Columns to sum up.
            file: Name of the table in the folder.
            seed: Of the resampling behind the intervals.
            about: What else the summary is about.

        Returns:
            The table, and its summary; see `measures.summary.summarise`.
        """
        table = pd.DataFrame(rows)
        save_table(table, self.folder / file)
        summary = summarise(table, keys, measures, seed)
        self.conclude(summary, **about)
        return table, summary

    def conclude(self, summary: pd.DataFrame, **about: Any) -> None:
        """Write the summary with what it is about, and record in the run where the results lie."""
        save_summary(self.folder, summary, {**self.about, "left_out": self.left_out, **about})
        self.note()

    def note(self) -> None:
        """Record in the run where the results lie, for the report."""
        note_output(self.run, self.kind, self.folder)
