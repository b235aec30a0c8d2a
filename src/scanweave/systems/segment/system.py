"""Segment as a user meets it: fit, predict, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd

from scanweave.engine.saved_encoder import SavedEncoder, chosen_encoder
from scanweave.engine.settings import chosen_names
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
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import one_hot_channels, structures_of
from scanweave.systems.segment import evaluation, report
from scanweave.systems.segment.config import OPTIONS, EvaluateOptions, SegmentConfig
from scanweave.systems.segment.fitted import FittedSegment
from scanweave.systems.segment.planning import FILE, NetworkPlan, are_slices, plan_network
from scanweave.systems.segment.target import FILE as TARGET_FILE
from scanweave.systems.segment.target import SegmentTarget, learn_target
from scanweave.systems.segment.task import SegmentTask
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
        scans, masks = chosen_scans(cohort, config.scans), _masks(cohort, config)
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
            sound, masks = fit.sound(), _masks(fit.cohort, config)
            parts = prepare_parts(
                fit, sound, scans, config.preparation, config.training.seed, masks=masks, standard=True, cubes=True
            )
            target = _target(fit, sound, parts)
            design = _design(fit, parts)
            fit.note_cohort(scans)
        training = config.training.model_copy(update={"batch_size": design.batch})
        task = SegmentTask(config, parts.plan, target, design, parts.training, parts.validation)
        fit.train(task, training=training)

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare predicted with drawn structures; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _encoder(config: SegmentConfig, shapes: Sequence[Sequence[int]]) -> SavedEncoder | None:
    """Return the encoder of the run that the fit begins from, or one by name; None: it is planned."""
    name = config.network.encoder
    chosen = chosen_encoder(config.start, name, ("plain",))
    if chosen is not None or name == "plain":
        return chosen
    flat = config.network.dimensions == 2 or (config.network.dimensions == "auto" and are_slices(shapes))
    return SavedEncoder(name=name, options={}, dimensions=2 if flat else 3, axes="XYZ")


def _masks(cohort: Cohort, config: SegmentConfig) -> list[str]:
    there = cohort.names("mask")
    named = chosen_names(config.mask, there, "mask")
    if not named and len(there) != 1:
        words = "has no mask" if not there else f"has several masks ({', '.join(there)})"
        raise ScanweaveError(cohort.folder, words, "Name one or more by --mask")
    return named or there


def _target(fit: CohortFit[SegmentConfig], cohort: Cohort, parts: PreparedParts) -> SegmentTarget:
    """The structures of the run, found in the training studies."""
    masks = list(parts.plan.masks)

    def learn() -> SegmentTarget:
        return learn_target(structures_of(cohort, masks), parts.training, one_hot_channels(cohort, masks))

    return fit.plan(SegmentTarget.load, learn, TARGET_FILE)


def _design(fit: CohortFit[SegmentConfig], parts: PreparedParts) -> NetworkPlan:
    """Return the network of the run, planned from the training studies."""

    def learn() -> NetworkPlan:
        shapes = [study.shape for study in parts.training]
        spacing = parts.plan.spacing or parts.training[0].frame.working.spacing
        config = fit.config
        encoder = _encoder(config, shapes)
        return plan_network(
            shapes, spacing, config.network, config.sampling.mirror, config.preparation.orientation, encoder
        )

    return fit.plan(NetworkPlan.load, learn, FILE)
