"""A fit to a cohort: how it is divided, what is learnt from it, and what the run is told of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from scanweave.engine.cohort_parts import splits_digest
from scanweave.engine.image_states import image_states
from scanweave.engine.loop import open_accelerator, train
from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.engine.settings import StartSettings, TrainingSettings
from scanweave.engine.start_weights import begin_from
from scanweave.engine.task import Task
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, write_json
from scanweave.framework.network_task import NetworkTask
from scanweave.nets.sizes import parameter_count
from scanweave.studies.checks.cohort_check import sound_studies, sound_with_series
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import FILE as SPLITS
from scanweave.studies.splits import Part, make_splits, usual_folds, write_splits
from scanweave.wording import studies

COHORT, PLAN, CONFIG = "cohort.json", "plan.json", "config.json"
FITTED_PARTS: tuple[Part, ...] = ("train", "validation")
"""Parts that shape the weights."""
C = TypeVar("C", bound=BaseModel)
Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class LearntPlan(Protocol):
    """A run's knowledge of its data, kept as `plan.json` in its folder."""

    def save(self, path: Path) -> None:
        """Write the plan."""


P = TypeVar("P", bound=LearntPlan)


class NetworkChange(Protocol):
    """A change of a network between its making and its training, such as pruning."""

    def begin(self, run: Run) -> None:
        """Give a run that has just begun what it needs."""

    def change(self, task: NetworkTask, run: Run, say: Say) -> None:
        """Change the network of a task in place."""


@dataclass(frozen=True, eq=False)
class NetworkFit(Generic[C]):
    """One fit of a network, while its run is held.

    Attributes:
        run: The started run.
        config: Every setting.
        say: Takes a line for each choice made, and why.
        change: What is done to the network before it learns; None: it begins as the settings say.
    """

    run: Run
    config: C
    say: Say
    change: NetworkChange | None = field(default=None, kw_only=True)

    @property
    def training(self) -> TrainingSettings:
        """Settings of the training: `training` of the system's."""
        found: TrainingSettings = getattr(self.config, "training")  # noqa: B009 - not all systems train a network
        return found

    def one_first(self) -> AbstractContextManager[Any]:
        """Let the first process of several check and prepare alone, so that the others find it done."""
        ready: AbstractContextManager[Any] = open_accelerator(self.training).main_process_first()
        return ready

    def plan(self, load: Callable[[Path], P], learn: Callable[[], P], file: str = PLAN) -> P:
        """Return a plan of the run, read if it is there, else learnt and kept; say its reasons and cautions.

        Args:
            load: Reads it.
            learn: Makes it; called where the run has none yet.
            file: Its name in the run.
        """
        path = self.run.folder / file
        known = path.exists()
        plan = load(path) if known else learn()
        for reason in getattr(plan, "reasons", ()):
            self.say(reason)
        for caution in getattr(plan, "cautions", ()):
            self.say(f"caution: {caution}")
        if self.run.main and not known:
            plan.save(path)
        return plan

    def train(self, task: Task, kind: str = "", *, training: TrainingSettings | None = None) -> None:
        """Begin from the weights that the settings name, tell how large the network is, and train it into the run.

        Args:
            task: Network, objective, samples and validation.
            kind: Which network it is, where a system has several.
            training: Settings in place of those that the user gave, such as with a planned batch.

        Raises:
            ScanweaveError: The start weights are at fault, see `engine.start_weights`, or the training fails.
        """
        start = getattr(self.config, "start", StartSettings())
        own = task if isinstance(task, NetworkTask) else None
        if self.change is None:
            begin_from(self.run, task.network, start, self.say, own.start_weights if own else None)
        elif own is not None:
            self.change.change(own, self.run, self.say)
        size = parameter_count(task.network) / 1e6
        preset = getattr(self.config, "preset", "none")
        self.say(f"network: {kind + ', ' if kind else ''}{size:.2f} million parameters, preset {preset}")
        train(task, training or self.training, self.run)


@dataclass(frozen=True, eq=False)
class CohortFit(NetworkFit[C]):
    """One fit of a system to a cohort, while its run is held.

    Attributes:
        run: The started run.
        config: Every setting.
        say: Takes a line for each choice made, and why.
        cohort: What is learnt from.
        fold: Which fold of the cohort's splits trains.
        workers: Processes or threads that check and prepare studies.
    """

    cohort: Cohort
    fold: int
    workers: int

    def sound(self) -> Cohort:
        """Return the studies that the check does not refuse."""
        with self.progress("studies checked") as progress:
            return sound_studies(self.cohort, self.workers, self.say, progress)

    def sound_with_series(self) -> tuple[Cohort, tuple[str, ...]]:
        """Return the studies that the check does not refuse, series and all, and the names of scans that are series."""
        with self.progress("studies checked") as progress:
            return sound_with_series(self.cohort, self.workers, self.say, progress)

    def divide(self, cohort: Cohort) -> tuple[Cohort, Cohort]:
        """Return the training and the validation part of a cohort; the latter may be empty.

        Raises:
            ScanweaveError: No study trains; or none validates, and patience is asked for.
        """
        training, validation = divide(cohort, self.fold, self.say)
        if self.training.patience is not None and not len(validation):
            step = "Leave it out, or set patients aside: scanweave cohort split"
            raise ScanweaveError("training.patience", "has no effect: no study validates", step)
        return training, validation

    def note_cohort(self, names: Sequence[str]) -> None:
        """Keep in the run what its report says of the cohort and of the scans of these names."""
        if self.run.main:
            write_json(self.run.folder / COHORT, describe_cohort(self.cohort, names, self.fold))

    def progress(self, what: str) -> Any:
        """Count what is done, such as "studies prepared", where the first process runs."""
        return counted(what, shown=self.run.main)


def start_fit(
    folder: str | Path, system: str, config: BaseModel, cohort: Cohort, columns: Sequence[str], *, fold: int, say: Say
) -> Run:
    """Start the run of a fit to the training part of a cohort, or continue it; split the cohort if nobody has.

    Args:
        folder: The run folder.
        system: Name of the system.
        config: Every setting.
        cohort: What is learnt from.
        columns: Columns of the manifest whose images are learnt from; a change of one ends the run.
        fold: Which fold of the cohort's splits trains.
        say: Takes a line if the cohort is split.

    Raises:
        ScanweaveError: There is no such fold, or the folder is in use, or holds a run of another configuration or of
            images that changed since.
    """
    ensure_splits(cohort, say)
    if fold and cohort.splits() is None:
        step = "Leave it out, or make folds: scanweave cohort split COHORT"
        raise ScanweaveError("fold", f"there is no fold {fold}: the source divides the cohort, and once only", step)
    settings = {**config.model_dump(mode="json"), "fold": fold, "splits": splits_digest(cohort)}
    parts = [cohort.part(part, fold) for part in FITTED_PARTS]
    inputs = {patient: images for part in parts for patient, images in image_states(part, columns).items()}
    about = {"path": str(cohort.folder), "sha256": cohort.digest}
    return Run.start(folder, system, settings, about, inputs, type(config))


def divide(cohort: Cohort, fold: int, say: Say) -> tuple[Cohort, Cohort]:
    """Return the training and the validation part of a cohort; the latter may be empty.

    Raises:
        ScanweaveError: No study trains.
    """
    training, validation = (cohort.part(part, fold) for part in FITTED_PARTS)
    if len(training) == 0:
        step = "Split it again: scanweave cohort split"
        raise ScanweaveError(cohort.folder, f"no training study in fold {fold}", step)
    say(f"split of fold {fold}: {studies(len(training))} to train on, {len(validation)} to validate on")
    if len(validation) == 0:
        say("validation: no study is set aside, so the last weights are kept")
    return training, validation


def ensure_splits(cohort: Cohort, say: Say) -> None:
    """Split a cohort that nobody has split, so that a first fit is tested on patients that it has not seen."""
    if cohort.splits() is not None or "split" in cohort.frame:
        return
    patients = Cohort.open(cohort.folder).patients
    folds, validation = usual_folds(len(patients))
    splits = make_splits(patients, folds, validation=validation)
    write_splits(cohort.folder, splits)
    say(f"split: none was made, so {splits.folds} folds of patients were drawn from seed {splits.seed}")


@contextmanager
def as_it_was(cohort: Cohort, run: str | Path, say: Say) -> Iterator[None]:
    """Leave the folder of a cohort as it was where the fit in the block is refused before its run has learnt anything.

    Splits that the fit drew go again: whoever changes the command, or the cohort, may want others. What it made ready
    stays, for the next fit begins with it, and is told.
    """
    before, had_run = _names(cohort.folder), is_plain(Path(run) / CONFIG)
    try:
        yield
    except ScanweaveError:
        if os.environ.get("RANK", "0") == "0" and (had_run or not is_plain(Path(run) / CONFIG)):
            made = _names(cohort.folder) - before
            if SPLITS in made:
                (cohort.folder / SPLITS).unlink(missing_ok=True)
                say("split: taken back, since the fit is refused")
            if ready := " and ".join(sorted(made - {SPLITS})):
                say(f"kept in {cohort.folder}: {ready}, for the next fit; safe to delete")
        raise


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def describe_cohort(cohort: Cohort, names: Sequence[str], fold: int) -> dict[str, Any]:
    """Return what a report says about a cohort without opening it: studies by combination of scans, and its parts."""
    present = cohort.frame.reindex(columns=[f"scan:{name}" for name in names]).notna().to_numpy()
    counts = Counter(tuple(name for name, there in zip(names, row, strict=True) if there) for row in present)
    parts = {part: cohort.part(part, fold) for part in (*FITTED_PARTS, "test")}
    return {
        "format": 1,
        "name": str(cohort.about.get("name", "")),
        "source": str(cohort.about.get("source", "")),
        "studies": len(cohort),
        "patients": len(cohort.patients),
        "fold": fold,
        "parts": {name: {"studies": len(part), "patients": len(part.patients)} for name, part in parts.items()},
        "combinations": [{"sequences": list(there), "studies": count} for there, count in counts.most_common()],
    }
