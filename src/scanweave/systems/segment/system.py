"""Segment as a user meets it: fit, predict, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import chosen_scans, prepare_parts, refuse_idle_drop, scan_columns
from scanweave.framework.segmentation import evaluation
from scanweave.framework.segmentation.fit import chosen_masks, learnt_target, planned_network
from scanweave.framework.segmentation.settings import EvaluateOptions
from scanweave.framework.segmentation.task import SegmentationTask
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.systems.segment import report
from scanweave.systems.segment.config import OPTIONS, SegmentConfig
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.wording import studies

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
        scans, masks = chosen_scans(cohort, config.scans), chosen_masks(cohort, config)
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
        config, scans = fit.config, chosen_scans(fit.cohort, fit.config.scans)
        with fit.one_first():
            sound, masks = fit.sound(), chosen_masks(fit.cohort, config)
            parts = prepare_parts(
                fit, sound, scans, config.preparation, config.training.seed, masks=masks, standard=True, cubes=True
            )
            target = learnt_target(fit, sound, parts)
            design = planned_network(fit, parts)
            fit.note_cohort(scans)
        training = config.training.model_copy(update={"batch_size": design.batch})
        task = SegmentationTask(config, parts.plan, target, design, parts.training, parts.validation)
        fit.train(task, training=training)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare predicted with drawn structures; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)
