"""Classify as a user meets it: fit, predict, evaluate, explain, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation, operating_points
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.answer_plan import answer_fields
from scanweave.framework.classification.presence import telling_presence
from scanweave.framework.classification.question import Question, ask, known_rows
from scanweave.framework.cohort_fit import CohortFit, ensure_splits
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
from scanweave.framework.whole_images.planning import plan_input, planned_encoder, refuse_idle_size
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.classify import explanation, localisation, report
from scanweave.systems.classify.config import OPTIONS, PRESETS, ClassifyConfig, EvaluateOptions, ExplainOptions
from scanweave.systems.classify.fitted import FittedClassify
from scanweave.systems.classify.inference import Classifier
from scanweave.systems.classify.planning import FILE, ClassifyPlan, plan_views
from scanweave.systems.classify.task import ClassifyTask
from scanweave.wording import studies

Say = Callable[[str], None]
Known = tuple[list[CachedStudy], NDArray[np.float64]]


class Classify(FittedClassify, System[ClassifyConfig]):
    """A fitted Classify with its verbs."""

    name: ClassVar[str] = "classify"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: ClassifyConfig, fold: int, say: Say) -> Material:
        """Choose the studies with any of the scans of which any of the labels is known."""
        names = chosen_scans(cohort, config.scans)
        refuse_idle_drop(config.sampling.drop_scans, names)
        if len(names) == 1 and config.network.scans_as != "auto":
            raise ScanweaveError("network.scans_as", f"has no effect: {names[0]} is the only scan", "Leave it out")
        ensure_splits(cohort, say)
        scans = scan_columns(names)
        question = ask(cohort, cohort.part("train", fold), config)
        labelled = cohort.frame[[f"label:{name}" for name in question.labels]].notna().any(axis=1)
        holding = cohort.where(cohort.frame[scans].notna().any(axis=1) & labelled)
        if len(holding) < len(cohort):
            say(f"left out: {studies(len(cohort) - len(holding))} without any scan, or of which no label is known")
        return Material(holding, scans)

    @classmethod
    def learn(cls, fit: CohortFit[ClassifyConfig]) -> None:
        """Learn to tell classes or findings."""
        config, scans = fit.config, chosen_scans(fit.cohort, fit.config.scans)
        with fit.one_first():
            question = ask(fit.cohort, fit.cohort.part("train", fit.fold), config)
            seed = config.training.seed
            parts = prepare_parts(fit, fit.sound(), scans, config.preparation, seed, standard=True, own_grids=True)
            training, validation = (_known(part, fit.cohort, question) for part in (parts.training, parts.validation))
            if not training[0]:
                raise ScanweaveError(fit.cohort.folder, "no training study has a known label", "Name another label")
            plan = fit.plan(
                ClassifyPlan.load, lambda: _plan(config, parts, question, training, scans, fit.cohort), FILE
            )
            fit.note_cohort(scans)
        task = ClassifyTask(config, plan, training, validation)
        fit.train(task)
        with fit.one_first():
            shares = partial(_validation_shares, fit, task, plan, validation)
            names = [study.id for study in validation[0]]
            operating_points.freeze_points(fit, plan, names, validation[1], shares)

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether the network is trained and its operating points are chosen."""
        return run.finished and (run.folder / operating_points.FILE).is_file()

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare what is predicted with what is known; see `evaluation.evaluate`."""
        refuse_unknown(self, trial, options)
        rows, tried = localisation.try_studies(self, trial, options)
        summary = evaluation.measure(self, trial, tried, options, rows)
        analyse(self, self.run, trial, tried, options)
        return summary

    def account(self, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
        """Map where the network looked; see `explanation.explain`."""
        return explanation.explain(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _known(part: Sequence[CachedStudy], cohort: Cohort, question: Question) -> Known:
    """Return the prepared studies of which an answer is known, and the answers."""
    rows = cohort.frame.set_index("study").loc[[study.id for study in part]]
    answers = question.answers(rows)
    there = known_rows(answers)
    return [study for study, known in zip(part, there, strict=True) if known], answers[there]


def _plan(
    config: ClassifyConfig,
    parts: PreparedParts,
    question: Question,
    training: Known,
    scans: Sequence[str],
    cohort: Cohort,
) -> ClassifyPlan:
    """Return the question and the input that the training studies settle."""
    chosen = training[0]
    trained = cohort.where(cohort.frame["study"].isin([study.id for study in chosen])).frame
    grids = [study.grids for study in chosen]
    views, why = plan_views(grids, scans, config.network)
    spacing = parts.plan.spacing or grids[0][0].working.spacing
    shape = plan_input([frame.shape for frames in grids for frame in frames], spacing, config.network)
    refuse_idle_size(config.network, PRESETS.get(config.preset, ClassifyConfig()).network, shape.dimensions)
    usual = {preset.network.encoder for preset in PRESETS.values()}
    encoder, told = planned_encoder(config.start, config.network.encoder, usual, shape.dimensions)
    fields, asked = answer_fields(question, training[1], config.loss)
    return ClassifyPlan(
        **fields,
        cautions=telling_presence(trained, {name: [f"scan:{name}"] for name in scans}, question),
        scans=tuple(scans),
        views=views,
        encoder=encoder,
        **{**shape._asdict(), "reasons": (asked, *why, *shape.reasons, *told)},
    )


def _validation_shares(
    fit: CohortFit[ClassifyConfig], task: ClassifyTask, plan: ClassifyPlan, validation: Known
) -> NDArray[np.float64]:
    """Return the probabilities of the validation studies by the weights that were kept."""
    network = with_weights(task.network.cpu(), fit.run.weights)
    volumes = ({name: study.volume(name)[:] for name in study.names} for study in validation[0])
    return Classifier(network, plan, fit.config.sampling.crop).probabilities(volumes)
