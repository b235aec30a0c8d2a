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
from scanweave.framework.scan_preparation import (
    PreparedParts,
    chosen_scans,
    prepare_parts,
    refuse_idle_drop,
    scan_columns,
)
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.nets.sizes import parameter_count
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import one_hot_channels, structures_of
from scanweave.systems.segment import evaluation, report
from scanweave.systems.segment.config import OPTIONS, EvaluateOptions, SegmentConfig
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.systems.segment.planning import FILE, NetworkPlan, plan_network
from scanweave.systems.segment.target import FILE as TARGET_FILE
from scanweave.systems.segment.target import SegmentTarget, learn_target
from scanweave.systems.segment.task import SegmentTask
from scanweave.wording import nearest, studies

Say = Callable[[str], None]


class Segment(FittedSegment, System[SegmentConfig]):
    """A fitted Segment with its verbs."""

    name: ClassVar[str] = "segment"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: SegmentConfig, fold: int, say: Say) -> Material:
        """Choose the studies with all of the masks and any of the scans.

        One that lacks a mask teaches nothing of the other masks either: where nobody looked for one structure, a voxel
        that is called it would count as an error of the others.
        """
        scans, masks = _scans(cohort, config), _masks(cohort, config)
        refuse_idle_drop(config.sampling.drop_scans, scans)
        drawn = [f"mask:{name}" for name in masks]
        has_masks = cohort.frame[drawn].notna().all(axis=1)
        holding = cohort.where(has_masks & cohort.frame[scan_columns(scans)].notna().any(axis=1))
        if len(holding) < len(cohort):
            named = " and ".join(f"'{name}'" for name in masks)
            say(f"left out: {studies(len(cohort) - len(holding))} without the mask {named} or any scan")
        return Material(holding, [*scan_columns(scans), *drawn])

    @classmethod
    def learn(cls, fit: CohortFit[SegmentConfig]) -> None:
        """Learn to outline the structures of the masks."""
        config, scans = fit.config, _scans(fit.cohort, fit.config)
        with open_accelerator(config.training).main_process_first():
            sound, masks = fit.sound(), _masks(fit.cohort, config)
            parts = prepare_parts(
                fit, sound, scans, config.preparation, config.training.seed, masks=masks, standard=True, cubes=True
            )
            target = _target(fit, sound, parts)
            design = _design(fit, parts)
            fit.note_cohort(scans)
        training = config.training.model_copy(update={"batch_size": design.batch})
        task = SegmentTask(config, parts.plan, target, design, parts.training, parts.validation)
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


def _masks(cohort: Cohort, config: SegmentConfig) -> list[str]:
    there = cohort.names("mask")
    for name in config.mask:
        if name not in there:
            raise ScanweaveError("mask", f"'{name}' is not in the cohort", nearest(name, there))
    if not config.mask and len(there) != 1:
        words = "has no mask" if not there else f"has several masks ({', '.join(there)})"
        raise ScanweaveError(cohort.folder, words, "Name one or more by --mask")
    return list(dict.fromkeys(config.mask)) or there


def _target(fit: CohortFit[SegmentConfig], cohort: Cohort, parts: PreparedParts) -> SegmentTarget:
    """The structures of the run: read if they are there, else found in the training studies."""
    path = fit.run.folder / TARGET_FILE
    if path.exists():
        return SegmentTarget.load(path)
    masks = list(parts.plan.masks)
    target = learn_target(structures_of(cohort, masks), parts.training, one_hot_channels(cohort, masks))
    for reason in target.reasons:
        fit.say(reason)
    if fit.run.main:
        target.save(path)
    return target


def _design(fit: CohortFit[SegmentConfig], parts: PreparedParts) -> NetworkPlan:
    """Return the network of the run: read if it is there, else planned from the training studies."""
    path = fit.run.folder / FILE
    if path.exists():
        return NetworkPlan.load(path)
    grid = parts.training[0].frame.working
    spacing = parts.plan.spacing or grid.spacing
    design = plan_network(
        [study.shape for study in parts.training],
        spacing,
        fit.config.network,
        fit.config.sampling.mirror,
        fit.config.preparation.orientation,
    )
    for reason in design.reasons:
        fit.say(reason)
    if fit.run.main:
        design.keep(fit.run.folder)
    return design
