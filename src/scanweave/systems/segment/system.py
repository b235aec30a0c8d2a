"""Segment as a user meets it: fit, predict, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.engine.loop import open_accelerator, train
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans, prepare_parts
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.nets.sizes import parameter_count
from scanweave.studies.cohort import Cohort
from scanweave.systems.segment import evaluation, report
from scanweave.systems.segment.config import OPTIONS, EvaluateOptions, SegmentConfig
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.systems.segment.planning import FILE, NetworkPlan, plan_network
from scanweave.systems.segment.task import SegmentTask
from scanweave.wording import nearest, studies

Say = Callable[[str], None]


class Segment(FittedSegment, System[SegmentConfig]):
    """A fitted Segment with its verbs."""

    name: ClassVar[str] = "segment"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: SegmentConfig, fold: int, say: Say) -> Material:
        """Choose the studies with the label map and any of the scans."""
        scans, mask = _scans(cohort, config), _mask(cohort, config)
        has_mask = cohort.frame[f"mask:{mask}"].notna()
        holding = cohort.where(has_mask & cohort.frame[[f"scan:{name}" for name in scans]].notna().any(axis=1))
        if len(holding) < len(cohort):
            say(f"left out: {studies(len(cohort) - len(holding))} without the mask '{mask}' or any scan")
        return Material(holding, [*(f"scan:{name}" for name in scans), f"mask:{mask}"])

    @classmethod
    def learn(cls, fit: CohortFit[SegmentConfig]) -> None:
        """Learn to outline the structures of a label map."""
        config, scans = fit.config, _scans(fit.cohort, fit.config)
        with open_accelerator(config.training).main_process_first():
            parts = prepare_parts(
                fit,
                fit.sound(),
                scans,
                config.preparation,
                config.training.seed,
                masks=[_mask(fit.cohort, config)],
                standard=True,
                cubes=True,
            )
            design = _design(fit, parts)
            fit.note_cohort(scans)
        training = config.training.model_copy(update={"batch_size": design.batch})
        task = SegmentTask(config, parts.plan, design, parts.training, parts.validation)
        count = parameter_count(task.network) / 1e6
        fit.say(f"network: {count:.2f} million parameters, preset {config.preset}")
        train(task, training, fit.run)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare predicted with drawn structures; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _scans(cohort: Cohort, config: SegmentConfig) -> list[str]:
    names = chosen_scans(cohort, config.scans, "scans")
    if not names:
        raise ScanweaveError(cohort.folder, "has no scan", "Import images and label maps")
    return names


def _mask(cohort: Cohort, config: SegmentConfig) -> str:
    there = cohort.names("mask")
    if config.mask:
        if config.mask not in there:
            raise ScanweaveError("mask", f"'{config.mask}' is not in the cohort", nearest(config.mask, there))
        return config.mask
    if len(there) != 1:
        words = "has no mask" if not there else f"has several masks ({', '.join(there)})"
        raise ScanweaveError(cohort.folder, words, "Name one by --mask")
    return there[0]


def _design(fit: CohortFit[SegmentConfig], parts: PreparedParts) -> NetworkPlan:
    """Return the network of the run: read if it is there, else planned from the training studies."""
    path = fit.run.folder / FILE
    if path.exists():
        return NetworkPlan.load(path)
    grid = parts.training[0].frame.working
    spacing = parts.plan.spacing or grid.spacing
    design = plan_network([study.shape for study in parts.training], spacing, fit.config.network)
    for reason in design.reasons:
        fit.say(reason)
    if fit.run.main:
        design.keep(fit.run.folder)
    return design
