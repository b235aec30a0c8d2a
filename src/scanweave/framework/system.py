"""A system as a user meets it: the verbs that all share, and what a system of its own has to say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel

from scanweave.engine.loop import open_accelerator
from scanweave.engine.run import Run
from scanweave.engine.settings import checked
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit, NetworkChange, as_it_was, start_fit
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.options import Options, VerbOptions, chosen_options
from scanweave.framework.predicting import Predicted, predicted_studies
from scanweave.framework.run_outputs import Kind, check_named, shape_faults
from scanweave.framework.run_page import RunPage
from scanweave.framework.study_selection import Choice
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study

if TYPE_CHECKING:
    import pandas as pd

C = TypeVar("C", bound=BaseModel)
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Material:
    """Studies and columns that a fit learns from.

    Attributes:
        cohort: The studies that count.
        columns: Columns of the manifest whose images are learnt from; a change of one ends the run.
    """

    cohort: Cohort
    columns: Sequence[str] = ()


class System(FittedRun[C], Generic[C]):
    """A published method with the verbs that a user calls.

    A system inherits from it and from its own fitted run. It says `material` and `learn` (how it is fitted), `predict`
    (a study into a study), `measure` (a trial into a table) and `write_page`; where the method offers them, `order`
    (for `rank`), `account` (for `explain`) and `audit_setup`. All else is here, once.
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, type[VerbOptions]]] = {}
    reads_files: ClassVar[bool] = True
    """False if it learns from tables alone: then there is nothing for several workers to check and prepare."""

    @classmethod
    def fit(
        cls,
        cohort: Cohort,
        run: str | Path,
        config: C,
        *,
        fold: int = 0,
        workers: int = 1,
        say: Say = print,
        change: NetworkChange | None = None,
    ) -> Self:
        """Learn from the training part of a cohort; continue a fit that was stopped.

        Args:
            cohort: Studies; incomplete ones are used as they are.
            run: The run folder.
            config: Every setting.
            fold: Which fold of the cohort's splits trains.
            workers: Processes that check and prepare studies.
            say: Takes one line for each choice made, and why.
            change: What is done to the network before it learns, such as pruning; None: nothing.

        Raises:
            ScanweaveError: Nothing to learn from, no such device, the run folder is in use or holds another run. A
                refused fit leaves no folder behind that was not there, and no splits in that of the cohort.
        """
        config = checked(type(config), config.model_dump(), "settings")
        cls._check_workers(workers)
        training = getattr(config, "training", None)
        if training is not None:
            open_accelerator(training)  # refuses a device that is not there, before the cohort is split or a run begun
        with as_it_was(cohort, run, say):
            material = cls.material(cohort, config, fold, say)
            config = cls.settled(material, config, run, fold, say)
            with start_fit(run, cls.name, config, cohort, material.columns, fold=fold, say=say) as started:
                if change is not None:
                    change.begin(started)
                if cls.is_done(started):
                    say(f"{started.folder} is finished: nothing to do")
                else:
                    whole = material.cohort
                    fit = CohortFit(started, config, say, change=change, cohort=whole, fold=fold, workers=workers)
                    cls.learn(fit)
        return cls.open(run, training.device if training is not None else "auto")

    @classmethod
    def _check_workers(cls, workers: int) -> None:
        if workers < 1:
            raise ScanweaveError("workers", f"{workers} is too small", "Give 1 or more")
        if workers > 1 and not cls.reads_files:
            reason = f"have no effect: {cls.name} learns from a table, so no study is checked or prepared"
            raise ScanweaveError("workers", reason, "Leave them out")

    @classmethod
    def open(cls, run: Run | str | Path, device: str = "auto") -> Self:
        """Open the run folder of a finished fit, or a run that is opened already."""
        opened = run if isinstance(run, Run) else Run.open(run)
        with shape_faults(opened.folder, "Restore its files, or fit again"):
            return cls(opened, device)

    @classmethod
    def material(cls, cohort: Cohort, config: C, fold: int, say: Say) -> Material:
        """Choose what a cohort holds for this system, before anything is read.

        Raises:
            ScanweaveError: The cohort has nothing to learn from.
        """
        raise _unsaid(cls, "material")

    @classmethod
    def settled(cls, material: Material, config: C, run: str | Path, fold: int, say: Say) -> C:
        """Return the settings with what the system chooses for these studies where the user has not. Nothing, mostly.

        Args:
            material: What is learnt from.
            config: Every setting.
            run: The run folder, which may hold a fit that goes on with the choice that it began with.
            fold: Which fold of the cohort's splits trains.
            say: Takes a line for a choice, and why.
        """
        return config

    @classmethod
    def learn(cls, fit: CohortFit[C]) -> None:
        """Fit, into `fit.run`."""
        raise _unsaid(cls, "learn")

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether a run needs nothing more."""
        return run.finished

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Predict one study.

        Args:
            study: What there is of it.
            targets: What to make, of `plan.targets`, each as if the study did not have it; None: what is absent.

        Returns:
            A study that holds what was made, and nothing else: scans and masks on the native grid, boxes, labels, …
        """
        raise _unsaid(type(self), "predict")

    def predictions(
        self, cohort: Cohort, targets: Sequence[str] | None = None, *, done: Collection[str] = (), say: Say = print
    ) -> Iterator[Predicted]:
        """Predict the studies of a cohort one by one; one that fails does not end the rest.

        Args:
            cohort: The studies.
            targets: As in `predict`.
            done: Names of studies that need no prediction.
            say: Takes lines about the cohort as a whole.
        """
        yield from predicted_studies(self.predict, cohort, targets, done)

    def evaluate(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        options: Options = None,
        slices: int = 1,
        say: Say = print,
    ) -> pd.DataFrame:
        """Measure predictions against what was acquired, or what became of patients.

        Args:
            cohort: Where the studies come from.
            out: Folder of the results; None: `evaluation` in the run, of another cohort than its own one
                `evaluation-other`.
            part: Which studies; None: the test part of the run's own cohort, of another all that the fit did not see.
            options: Those of this system, by name.
            slices: Of every study each n-th axial slice counts, for a first look; 1: all. The results then go to a
                folder of their own, such as `evaluation-look`.
            say: Takes lines about choices and results.

        Returns:
            The table of measures that is also written to the folder.

        Raises:
            ScanweaveError: An option is unknown, or no study could be measured.
        """
        chosen = self.chosen("evaluate", options)
        return self.measure(self._trial(cohort, "evaluation", out, part, slices, say), chosen)

    def rank(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        options: Options = None,
        slices: int = 1,
        say: Say = print,
    ) -> Any:
        """Order what a study is made of by what each carries; the arguments are those of `evaluate`."""
        chosen = self.chosen("rank", options)
        return self.order(self._trial(cohort, "ranking", out, part, slices, say), chosen)

    def explain(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        options: Options = None,
        slices: int = 1,
        say: Say = print,
    ) -> pd.DataFrame:
        """Say why: maps of what each image alone shows, or patients who are alike; arguments as in `evaluate`."""
        chosen = self.chosen("explain", options)
        return self.account(self._trial(cohort, "explanation", out, part, slices, say), chosen)

    def _trial(
        self, cohort: Cohort, kind: Kind, out: str | Path | None, part: Choice | None, slices: int, say: Say
    ) -> Trial:
        if slices > 1 and not any(column.startswith("scan:") for column in self.plan.sources):
            raise ScanweaveError("slices", f"have no effect: {self.name} reads no volumes", "Leave them out")
        series = getattr(self.plan, "series", ())
        return Trial.of(self.run, cohort, kind, out=out, part=part, slices=slices, series=series, say=say)

    def report(self, path: str | Path | None = None, *, results: Sequence[str | Path] = ()) -> Path:
        """Write all that the run folder knows as one HTML page.

        Args:
            path: The file; None: `report.html` in the run.
            results: Folders whose results belong on the page, such as one given as `out` before, in place of the
                newest in the run.

        Raises:
            ScanweaveError: A file is not what this version writes, or leads out of the run; a folder of `results`
                holds none of this run.
        """
        check_named(self.run, results)
        with shape_faults(self.run.folder, "Make its results again: evaluate, rank, explain"):
            return self.write_page(RunPage(self.run, tuple(results)), path)

    def measure(self, trial: Trial, options: Any) -> pd.DataFrame:
        """Measure the studies of a trial, write tables and pictures into its folder, and conclude it."""
        raise _unsaid(type(self), "measure")

    def order(self, trial: Trial, options: Any) -> Any:
        """Rank by the studies of a trial, write the ranking into its folder, and note it."""
        raise _unsaid(type(self), "order")

    def account(self, trial: Trial, options: Any) -> pd.DataFrame:
        """Explain the studies of a trial, write tables and pictures into its folder, and note it."""
        raise _unsaid(type(self), "account")

    def audit_setup(self, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Any:
        """Return what an audit of stability tries on the studies of a cohort."""
        raise _unsaid(type(self), "audit_setup")

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run."""
        raise _unsaid(type(self), "write_page")

    @classmethod
    def chosen(cls, verb: str, options: Options) -> Any:
        """Return the options of a verb, checked.

        Raises:
            ScanweaveError: The system has no such option, or refuses its value.
        """
        return chosen_options(cls.options.get(verb, VerbOptions), options, verb)


def _unsaid(system: type, what: str) -> TypeError:
    return TypeError(f"{system.__name__} does not say '{what}'")
