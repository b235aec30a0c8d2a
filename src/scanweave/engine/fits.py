"""A fit to a cohort: how the cohort is divided, and what the run is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from scanweave.engine.inputs import image_states
from scanweave.engine.parts import splits_digest
from scanweave.engine.run import Run
from scanweave.engine.settings import checked
from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Part, make_splits, write_splits
from scanweave.wording import studies

FOLDS = 5
"""Folds of a cohort that nobody has split."""
COHORT = "cohort.json"
SEEN: tuple[Part, ...] = ("train", "validation")
"""Parts that shape the weights."""
M = TypeVar("M", bound=BaseModel)
Say = Callable[[str], None]


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
        ScanweaveError: The folder is in use, or holds a run of another configuration or of images that changed since.
    """
    ensure_splits(cohort, say)
    settings = {**config.model_dump(mode="json"), "fold": fold, "splits": splits_digest(cohort)}
    parts = [cohort.part(part, fold) for part in SEEN]
    inputs = {patient: images for part in parts for patient, images in image_states(part, columns).items()}
    return Run.start(folder, system, settings, {"path": str(cohort.folder), "sha256": cohort.digest}, inputs)


def fitted_config(run: Run, kind: type[M]) -> M:
    """The settings that a run was fitted with."""
    values = {name: value for name, value in run.config.items() if name not in ("fold", "splits")}
    return checked(kind, values, run.folder / "config.json")


def divide(cohort: Cohort, fold: int, say: Say) -> tuple[Cohort, Cohort]:
    """The training and the validation part of a cohort; the latter may be empty.

    Raises:
        ScanweaveError: No study trains.
    """
    training, validation = (cohort.part(part, fold) for part in SEEN)
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
    splits = make_splits(patients, min(FOLDS, len(patients)), validation=len(patients) > FOLDS)
    write_splits(cohort.folder, splits)
    say(f"split: none was made, so {splits.folds} folds of patients were drawn from seed {splits.seed}")


def note_cohort(run: Run, cohort: Cohort, names: Sequence[str], fold: int) -> None:
    """Keep in the run what its report says of the cohort."""
    if run.main:
        write_json(run.folder / COHORT, describe_cohort(cohort, names, fold))


def describe_cohort(cohort: Cohort, names: Sequence[str], fold: int) -> dict[str, Any]:
    """What a report says about a cohort without opening it: studies by combination of scans, and its parts."""
    present = cohort.frame.reindex(columns=[f"scan:{name}" for name in names]).notna().to_numpy()
    counts = Counter(tuple(name for name, there in zip(names, row, strict=True) if there) for row in present)
    parts = {part: cohort.part(part, fold) for part in (*SEEN, "test")}
    return {
        "format": 1,
        "name": str(cohort.about.get("name", "")),
        "studies": len(cohort),
        "patients": len(cohort.patients),
        "fold": fold,
        "parts": {name: {"studies": len(part), "patients": len(part.patients)} for name, part in parts.items()},
        "combinations": [{"sequences": list(there), "studies": count} for there, count in counts.most_common()],
    }
