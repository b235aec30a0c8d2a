"""Scans of a cohort made ready for a network: the plan learnt on the training part, the cache of both parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scanweave.augment.crops import Crop
from scanweave.engine.settings import chosen_names
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.preparation import PreparedStudy, Volume, restore
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.wording import studies

PLAN_STUDIES = 32
"""Training studies that the intensities of a plan are learnt from, at most: more would hardly move a median."""
PLAN_STREAM = 2
"""Keeps the choice of these studies apart from what else is drawn from a seed."""


class PreparedParts(NamedTuple):
    """The plan and the studies that a network learns from.

    Attributes:
        plan: How studies are made ready.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
    """

    plan: Plan
    training: list[CachedStudy]
    validation: list[CachedStudy]


def prepare_parts(
    fit: CohortFit[Any],
    cohort: Cohort,
    names: Sequence[str],
    settings: PreparationSettings,
    seed: int,
    *,
    masks: Sequence[str] = (),
    standard: bool = False,
    cubes: bool = False,
    own_grids: bool = False,
    series: Collection[str] = (),
    colours: bool = False,
) -> PreparedParts:
    """Learn the plan of a run, or read it if it is there, and prepare the training and the validation part.

    Args:
        fit: The fit.
        cohort: Sound studies; those without any of the scans are left out.
        names: Of the scans.
        settings: What the user decided of the preparation.
        seed: Draws the studies that the plan is learnt from.
        masks: Label maps that are learnt.
        standard: As in `learn_plan`.
        cubes: As in `PreparedCohort`.
        own_grids: Whether scans of a study may lie on grids of their own; else such studies are left out, and told.
        series: Names of the scans that may be series.
        colours: As in `learn_plan`.

    Raises:
        ScanweaveError: No study trains, or a scan is in none of those that do.
    """
    training, validation = fit.divide(cohort.where(cohort.frame[scan_columns(names)].notna().any(axis=1)))

    def learn() -> Plan:
        order = np.random.default_rng([seed, PLAN_STREAM]).permutation(len(training))
        chosen = training.select([training.studies[i] for i in order[:PLAN_STUDIES]])
        return learn_plan(chosen, names, settings, masks=masks, standard=standard, series=series, colours=colours)

    plan = fit.plan(Plan.load, learn)
    prepared: list[list[CachedStudy]] = []
    for part in (training, validation):
        with fit.progress("studies prepared") as progress:
            ready = PreparedCohort(part, plan, cubes=cubes)
            prepared.append(ready.prepare(fit.workers, progress) if len(part) else [])
    fit.note_cohort(names)
    if not own_grids:
        prepared = [_on_one_grid(part, fit) for part in prepared]
        if not prepared[0]:
            words = f"in no training study do its scans ({', '.join(names)}) share a grid"
            raise ScanweaveError(fit.cohort.folder, words, "Name one of them, or scans of one grid, by --scans")
    return PreparedParts(plan, *prepared)


def _on_one_grid(part: list[CachedStudy], fit: CohortFit[Any]) -> list[CachedStudy]:
    """The studies whose scans share a grid; how many do not is told."""
    kept = [study for study in part if len(study.grids) == 1]
    if len(kept) < len(part):
        fit.say(f"left out: {studies(len(part) - len(kept))} whose scans lie on grids of their own")
    return kept


def scan_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of the manifest that hold scans of these names."""
    return [f"scan:{name}" for name in names]


def chosen_scans(cohort: Cohort, asked: Sequence[str], field: str = "scans") -> list[str]:
    """Return the names of the scans to learn from: those that are asked for, else all of the cohort.

    Args:
        cohort: The studies.
        asked: Names of scans, or none.
        field: The setting that asks.

    Raises:
        ScanweaveError: The cohort has no scan, or none of a name.
    """
    there = cohort.names("scan")
    if not there:
        raise ScanweaveError(cohort.folder, "has no scan", "Import the images of its studies")
    return chosen_names(asked, there, field) or there


def refuse_idle_drop(share: float, names: Sequence[str]) -> None:
    """Refuse to drop scans from samples where there is one alone.

    Raises:
        ScanweaveError: `sampling.drop_scans` is above 0, and the only scan is kept in any case.
    """
    if share and len(names) == 1:
        reason = f"has no effect: {names[0]} is the only scan, and one is always kept"
        raise ScanweaveError("sampling.drop_scans", reason, "Leave it out")


def read_crop(study: CachedStudy, name: str, crop: Crop, frames: Sequence[int] | None = None) -> Volume:
    """Return a crop of a prepared scan `(X, Y, Z)`; its background stands beyond the scan and where it covers nothing.

    Args:
        study: Its voxels are on disk; no more than the crop is read.
        name: Of the scan.
        crop: Where, in space.
        frames: Of a series, whose crop is `(X, Y, Z, T)`, those that are read, in order; None: all.
    """
    around, whole = study.backgrounds[name], study.volume(name)
    if name not in study.series:
        return np.nan_to_num(crop.read(whole, around), nan=around)
    chosen = range(study.series[name].frames) if frames is None else frames
    read = [crop.read(_OneFrame(whole, number), around) for number in chosen]
    return np.nan_to_num(np.stack(read, axis=-1), nan=around)


@dataclass(frozen=True)
class _OneFrame:
    """One frame of a series on disk, `(X, Y, Z)`, for `Crop.read`."""

    whole: Any
    number: int
    ndim: ClassVar[int] = 3

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.whole.shape[:3])

    def __getitem__(self, place: tuple[slice, ...]) -> Volume:
        return np.asarray(self.whole[(*place, self.number)])


def native_scan(volume: Volume, prepared: PreparedStudy, plan: Plan, name: str) -> Scan:
    """Return what a network made of a prepared study, on the native grid and in intensities of one of its scans.

    A series has the times and b-values of that scan, or, where the study lacks it, those that are typical by the plan;
    none where it has another number of frames.

    Args:
        volume: `(X, Y, Z)`, of a series `(X, Y, Z, T)`, on the prepared grid, in [-1, 1].
        prepared: What it was made of.
        plan: How studies are made ready.
        name: The scan whose intensities it has.
    """
    made, affine = restore(volume, prepared.frame, plan, name), prepared.frame.native.affine
    known = prepared.series.get(name, plan.series.get(name))
    if made.ndim == 3 or known is None:
        return Scan.of(made, affine, synthetic=True)
    told = known.cut_to(made.shape[3])
    return Scan.of(made, affine, synthetic=True, times=told.times, b_values=told.b_values)
