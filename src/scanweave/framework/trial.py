"""A trial of a fitted run on studies: which ones, one after the other, who is left out and why, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel

import scanweave
from scanweave.engine.cohort_parts import is_own
from scanweave.engine.image_states import states_digest
from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import lies_within
from scanweave.framework.run_outputs import Kind, newest_output, note_output, numbered_folders, output_folder, tried
from scanweave.framework.study_selection import Choice, chosen_part, select_studies
from scanweave.framework.unfinished import Unfinished, remove_unfinished
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_summary, save_table
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study
from scanweave.studies.thinning import thinned
from scanweave.wording import count

T = TypeVar("T")
Say = Callable[[str], None]
FINDINGS = 3
"""Number of what is kept of a study while a trial runs: higher whenever some system keeps something else, so that a
trial that an earlier version began is begun anew."""
DONE: dict[Kind, str] = {"evaluation": "evaluated", "ranking": "ranked", "explanation": "explained"}


def trial_folder(
    run: Run, cohort: Cohort, kind: Kind, *, part: Choice | None = None, slices: int = 1, named: bool = False
) -> Path:
    """Return the folder in a run for the results of a trial, where the user names none.

    A first look, and a trial of named studies or of another cohort than the run's own, takes no place of another one:
    it has a number behind its name where other studies or slices were tried there.

    Args:
        run: The fitted run.
        cohort: The studies.
        kind: What is done.
        part: Which of them, as in `Trial.of`.
        slices: Likewise.
        named: Whether the studies are named by the user.

    Raises:
        ScanweaveError: The run is part of a package, or earlier results are damaged.
    """
    whole = slices == 1 and not named
    other = whole and bool(run.record.get("cohort")) and not is_own(run, cohort)
    first = output_folder(run.own_folder, kind, named=named, look=slices > 1, other=other)
    if whole and not other:
        return first
    wanted = {"cohort": cohort.digest, "part": chosen_part(run, cohort, part), "slices": slices}
    return next(folder for folder in numbered_folders(first) if _selection(folder, kind) in (None, wanted))


def _selection(folder: Path, kind: Kind) -> dict[str, Any] | None:
    """Return which studies and slices were tried in a folder; None where nothing is known of any."""
    about = tried(folder, kind)
    return about and {"cohort": about["cohort"], "part": about.get("part"), "slices": about.get("slices", 1)}


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
        slices: Of every study each n-th axial slice counts; 1: all.
    """

    run: Run
    kind: Kind
    folder: Path
    cohort: Cohort
    about: dict[str, Any]
    say: Say = print
    left_out: dict[str, str] = field(default_factory=dict)
    slices: int = 1

    @classmethod
    def of(
        cls,
        run: Run,
        cohort: Cohort,
        kind: Kind,
        *,
        out: str | Path | None = None,
        part: Choice | None = None,
        slices: int = 1,
        series: Collection[str] = (),
        say: Say = print,
    ) -> Trial:
        """Choose the studies of a trial.

        Args:
            run: The fitted run.
            cohort: Where the studies come from.
            kind: What is done.
            out: Folder of the results; None: see `trial_folder`.
            part: Which studies; None: the test part of the run's own cohort, of another all that the fit did not see.
            slices: Of every study each n-th axial slice counts, for a first look; 1: all.
            series: Names of scans that the run takes as series.
            say: Takes lines about choices and results.

        Raises:
            ScanweaveError: No study is left, or `slices` is below 1.
        """
        if slices < 1:
            raise ScanweaveError("slices", f"{slices} is no distance of slices", "Write every 3rd")
        chosen = select_studies(run, cohort, part, say, series=series)
        about = chosen.about if slices == 1 else {**chosen.about, "slices": slices}
        folder = Path(out) if out is not None else trial_folder(run, cohort, kind, part=part, slices=slices)
        return cls(run, kind, folder, chosen.cohort, about, say, slices=slices)

    def study(self, name: str) -> Study:
        """Return a study as it is tried: all of it, or every n-th slice.

        Raises:
            ScanweaveError: It cannot be read, or has no slices to choose from.
        """
        return thinned(self.cohort[name], self.slices)

    def each(
        self, measure: Callable[[Study], T], asked: Mapping[str, Any] | BaseModel | None = None
    ) -> Iterator[tuple[str, T]]:
        """Measure the studies one by one, a study in memory at a time; leave out and name those that fail.

        Args:
            measure: What is done with a study.
            asked: Options that the findings depend on. If they are given, findings are plain values, as JSON has them,
                and each is kept when it is made: the same call goes on where one was stopped.

        Yields:
            The name of a study and what was found.

        Raises:
            ScanweaveError: None could be measured, or another process writes to the folder.
        """
        with counted(f"studies {DONE[self.kind]}", shown=self.say is print) as progress:
            if asked is None:
                yield from self._measured(measure, {}, progress)
                return
            options = asked.model_dump(mode="json") if isinstance(asked, BaseModel) else dict(asked)
            with Unfinished.open(self.folder, self._request(options)) as kept:
                if kept.found:
                    self.say(f"goes on: {count(len(kept.found), 'study', 'studies')} of an earlier call are done")
                before = dict(kept.found)
                for name, found in self._measured(measure, before, progress):
                    yield name, found if name in before else kept.add(name, found)

    def _measured(
        self, measure: Callable[[Study], T], before: Mapping[str, T], progress: Callable[[int, int], None]
    ) -> Iterator[tuple[str, T]]:
        names, found = self.cohort.studies, 0
        progress(len(before), len(names))
        for number, name in enumerate(names, 1):
            if name in before:
                yield name, before[name]
                found += 1
                continue
            try:
                made = measure(self.study(name))
            except ScanweaveError as error:
                self.leave_out(name, error)
            else:
                found += 1
                yield name, made
            progress(number + sum(later in before for later in names[number:]), len(names))
        if not found:
            raise ScanweaveError(self.cohort.folder, f"no study could be {DONE[self.kind]}", "See the lines above")

    def _request(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what findings depend on, as plain values."""
        files = [one.heading for one in self.cohort.present() if one.kind.files]
        return {
            "scanweave": scanweave.__version__,
            "findings": FINDINGS,
            "about": self.about,
            "studies": self.cohort.studies,
            "files": states_digest(self.cohort, files),
            "options": options,
        }

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
        """Record in the run where the results lie, for the report.

        A first look takes no place of a whole result, and studies that the fit saw take none of those it did not see.

        Nothing is written to a run that is part of a package.
        """
        remove_unfinished(self.folder)
        if self.run.shipped:
            return
        newest = newest_output(self.run, self.kind)
        other = None if newest is None or newest == self.folder else tried(newest, self.kind) or {}
        if self.slices > 1 and other is not None and other.get("slices", 1) == 1:
            self.say(f"the report keeps showing the {self.kind} of all slices; this first look lies in {self.folder}")
            return
        beside = lies_within(self.run.folder, self.folder)  # what lies elsewhere is shown to who names it
        if beside and self.about.get("seen") and other is not None and other.get("seen") == 0:
            told = f"the report keeps showing the {self.kind} of studies that the fit did not see"
            self.say(f"{told}; this one lies in {self.folder}")
            return
        note_output(self.run, self.kind, self.folder)
