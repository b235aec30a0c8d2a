"""FreeTumor as a user meets it: fit, predict, evaluate, report; and what `synthesize` takes from a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.engine.settings import chosen_names
from scanweave.engine.stages import train_stages
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import chosen_scans, prepare_parts, scan_columns
from scanweave.framework.segmentation import evaluation
from scanweave.framework.segmentation.fit import planned_network
from scanweave.framework.segmentation.target import FILE as TARGET_FILE
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.framework.tumour_synthesis import TumourMaker
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import Structure, structures_of
from scanweave.systems.freetumor import report
from scanweave.systems.freetumor.config import OPTIONS, EvaluateOptions, FreeTumorConfig
from scanweave.systems.freetumor.fitted import FittedFreeTumor
from scanweave.systems.freetumor.looks import FILE as LOOKS_FILE
from scanweave.systems.freetumor.looks import Looks
from scanweave.systems.freetumor.stages import TumourFit, organ_numbers
from scanweave.systems.freetumor.synthesis import tumour_maker
from scanweave.wording import nearest, studies

Say = Callable[[str], None]
TUMOUR = "tumour"
"""The mask that a run makes where the cohort has none to learn from."""


class FreeTumor(FittedFreeTumor, System[FreeTumorConfig]):
    """A fitted FreeTumor with its verbs."""

    name: ClassVar[str] = "freetumor"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: FreeTumorConfig, fold: int, say: Say) -> Material:
        """Choose the studies with the scan and any of the two masks."""
        scan, masks = _scan(cohort, config), [_tumour_mask(cohort, config), config.organ_mask]
        drawn = [f"mask:{name}" for name in masks if f"mask:{name}" in cohort.frame]
        has_scan = cohort.frame[f"scan:{scan}"].notna()
        holding = cohort.where(has_scan & cohort.frame[drawn].notna().any(axis=1))
        if len(holding) < len(cohort):
            say(f"left out: {studies(len(cohort) - len(holding))} without the scan {scan} or without any mask")
        return Material(holding, [*scan_columns([scan]), *drawn])

    @classmethod
    def learn(cls, fit: CohortFit[FreeTumorConfig]) -> None:
        """Learn judge, generator and segmentor, one after the other."""
        config, cohort = fit.config, fit.cohort
        scan, tumour = _scan(cohort, config), _tumour_mask(cohort, config)
        with fit.one_first():
            parts = prepare_parts(
                fit,
                fit.sound(),
                [scan],
                config.preparation,
                config.training.seed,
                masks=[tumour, config.organ_mask],
                standard=True,
                cubes=True,
            )
            made = SegmentationTarget(structures=(Structure(tumour, tumour),), reasons=(f"target: {tumour}",))
            target = fit.plan(SegmentationTarget.load, lambda: made, TARGET_FILE)
            prepared = TumourFit(fit, parts, target, planned_network(fit, parts), _organs(cohort, config))
            looks = fit.plan(Looks.load, prepared.learn_looks, LOOKS_FILE)
            fit.note_cohort([scan])
        train_stages(prepared.stages(looks), fit.run)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare predicted with drawn tumours; see `framework.segmentation.evaluation`."""
        return evaluation.evaluate(self, trial, options)

    def tumour_maker(self, *, rules: bool = False) -> TumourMaker:
        """Return what makes tumours as the run does; see `synthesis.tumour_maker`."""
        return tumour_maker(self, rules=rules)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _scan(cohort: Cohort, config: FreeTumorConfig) -> str:
    found = chosen_scans(cohort, config.scans)
    if len(found) != 1:
        reason = f"{', '.join(found)}: tumours are put into one scan a study"
        raise ScanweaveError("scans", reason, "Name one by --scans")
    return found[0]


def _tumour_mask(cohort: Cohort, config: FreeTumorConfig) -> str:
    """Return the mask of tumours: the one that is asked for, else the only one beside that of organs.

    Raises:
        ScanweaveError: There are several, or no mask of organs.
    """
    there = cohort.names("mask")
    if config.organ_mask not in there:
        reason = f"'{config.organ_mask}' is not in the cohort: tumours must know where they may lie"
        raise ScanweaveError("organ_mask", reason, nearest(config.organ_mask, there))
    named = chosen_names(config.mask, there, "mask")
    others = named or [name for name in there if name != config.organ_mask]
    if len(others) > 1:
        reason = f"{', '.join(others)}: one mask of tumours is learnt"
        raise ScanweaveError("mask", reason, "Name one by --mask")
    return others[0] if others else TUMOUR


def _organs(cohort: Cohort, config: FreeTumorConfig) -> tuple[int, ...]:
    """Return the numbers of the organs that tumours may lie in; none: all of the mask.

    Raises:
        ScanweaveError: The mask has no structure of a name.
    """
    if not config.organ:
        return ()
    known = structures_of(cohort, [config.organ_mask])
    chosen_names(config.organ, [one.name for one in known], "organ")
    return organ_numbers(known, config.organ)
