"""AdaMedGraph as a user meets it: fit, predict, evaluate, explain, report."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scanweave.engine.free_memory import refuse_beyond_memory
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import FITTED_PARTS, CohortFit, ensure_splits
from scanweave.framework.options import VerbOptions
from scanweave.framework.run_page import RunPage
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.studies.tables.schema import read_schema
from scanweave.studies.tables.table_check import giving_away
from scanweave.systems.adamedgraph import evaluation, explanation, report, storage
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier, AfterRound
from scanweave.systems.adamedgraph.config import OPTIONS, AdaMedGraphConfig, ExplainOptions
from scanweave.systems.adamedgraph.ensemble import Ensemble, Learner
from scanweave.systems.adamedgraph.fitted import FittedAdaMedGraph
from scanweave.systems.adamedgraph.learners import held_bytes
from scanweave.systems.adamedgraph.record import FILE, Record
from scanweave.systems.adamedgraph.samples import Question, Samples, ask, gather
from scanweave.wording import count, listed

Say = Callable[[str], None]
LEAST_TRAINING_PATIENTS = 10
"""Training patients below which nothing is learnt."""


class AdaMedGraph(FittedAdaMedGraph, System[AdaMedGraphConfig]):
    """A fitted AdaMedGraph with its verbs."""

    name: ClassVar[str] = "adamedgraph"
    options = OPTIONS
    reads_files = False

    @classmethod
    def material(cls, cohort: Cohort, config: AdaMedGraphConfig, fold: int, say: Say) -> Material:
        """Refuse what cannot be learnt from, before a run is made."""
        if config.boosting.learner != "appnp":
            raise ScanweaveError(*storage.NOT_KEPT)
        ensure_splits(cohort, say)
        asked = ask(cohort, cohort.part("train", fold), config, lambda line: None)
        _refuse_poor(cohort, asked, gather(cohort.part("train", fold), asked, config).known())
        return Material(cohort)

    @classmethod
    def learn(cls, fit: CohortFit[AdaMedGraphConfig]) -> None:
        """Learn a label of a cohort from its variables."""
        cohort, config, say = fit.cohort, fit.config, fit.say
        parts = [cohort.part(part, fit.fold) for part in FITTED_PARTS]
        question = ask(cohort, parts[0], config, say)
        training, validation = (gather(part, question, config).known() for part in parts)
        if len(validation.studies):
            _refuse_idle_share(config)
        rows = len(training.studies) + len(validation.studies)
        size = held_bytes(config.boosting.hidden, len(question.features), rows)
        refuse_beyond_memory(size, "boosting.hidden", f"one learner of {count(rows, 'patient')} takes", "Lower it")
        _introduce(question, training, validation, fit.fold, say)
        suspects = giving_away(parts[0], question.features, question.label)
        for name, words in suspects.items():
            say(f"caution: {name} {words}; if so: --leave-out {name}")
        _learn(fit.run, config, question, training, validation, cohort, suspects, say)

    def measure(self, trial: Trial, options: VerbOptions) -> pd.DataFrame:
        """Measure answers against what became of the patients; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial)

    def account(self, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
        """Say whom each patient resembles, by what, and what became of them; see `explanation.explain`."""
        return explanation.explain(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _refuse_idle_share(config: AdaMedGraphConfig) -> None:
    if config.boosting.validation_fraction != type(config.boosting).model_fields["validation_fraction"].default:
        reason = "has no effect: the validation part of the cohort's fold chooses the rounds"
        step = "Leave it out, or split the cohort without one: cohort split --no-validation"
        raise ScanweaveError("boosting.validation_fraction", reason, step)


def _introduce(question: Question, training: Samples, validation: Samples, fold: int, say: Say) -> None:
    names, rows = question.features, count(len(training.studies), "row")
    say(f"label: {question.label}, {_counts(training.labels)}")
    say(f"split of fold {fold}: {rows} to train on, {len(validation.studies)} to choose the rounds on")
    say(f"variables: {len(names)} ({listed(names)})")


def _learn(
    run: Run,
    config: AdaMedGraphConfig,
    question: Question,
    training: Samples,
    validation: Samples,
    cohort: Cohort,
    suspects: dict[str, str],
    say: Say,
) -> None:
    both = training.joined(validation)
    aside = np.arange(len(both.studies)) >= len(training.studies)
    earlier = _earlier(run.folder / "rounds")
    if earlier:
        say(f"going on after round {len(earlier)}")
    run.rewind(0, run.seconds)
    params = {**config.boosting.model_dump(), "categorical_features": _categorical(cohort, question)}
    model = AdaMedGraphClassifier(**params).fit(
        both.table,
        both.labels.to_numpy(dtype=str),
        groups=both.patients,
        earlier=earlier,
        validation=aside if aside.any() else None,
        after_round=_keeper(run, len(earlier), say),
    )
    kept = len(model.ensemble_.learners)
    say(f"kept: {count(kept, 'round')}{', those of the best validation' if len(model.validation_curve_) else ''}")
    schema = read_schema(cohort.folder)
    nodes = np.full(len(aside), True) if config.boosting.refit else ~model.validation_rows_
    Record(
        label=question.label,
        field=question.field,
        features=question.features,
        course=question.course,
        classes=tuple(map(str, model.classes_)),
        studies=tuple(np.array(both.studies)[nodes]),
        patients=tuple(np.array(both.patients)[nodes]),
        validated=len(set(np.array(both.patients)[nodes & aside])),
        conformal=conformal_limit(model.validation_scores_, config.coverage),
        coverage=config.coverage,
        units={c.name: c.unit for c in schema.columns if c.unit} if schema else {},
        suspects=suspects,
    ).save(run.folder / FILE)
    if schema is not None:
        schema.bare().save(run.folder)  # for tables of new patients
    storage.save(run.weights, model.ensemble_)
    run.finish(weights="refit" if config.boosting.refit else "search", step=kept)


def _keeper(run: Run, earlier: int, say: Say) -> AfterRound:
    """Return what keeps and tells each round."""

    def keep(turn: int, ensemble: Ensemble, figures: dict[str, float]) -> None:
        learner = ensemble.learners[-1]
        if turn > earlier:
            arrays, about = storage.learner_arrays(learner), storage.learner_about(learner)
            storage.write_arrays(run.folder / "rounds" / f"{turn:03d}.safetensors", arrays, about)
        run.log(turn, "train", {"error": figures["error"], "vote": figures["vote"]})
        words = f"round {turn}: {_told(learner, ensemble)} · error {figures['error']:.3f}"
        if "log_loss" in figures:
            run.log(turn, "validation", {"log loss": figures["log_loss"]})
            words += f" · log loss {figures['log_loss']:.3f}"
        say(words)

    return keep


def conformal_limit(scores: np.ndarray, coverage: float) -> float | None:
    """Return the probability from which on a class belongs to a patient's set (split conformal).

    The ⌈(n + 1) · coverage⌉-th smallest 1 - p(true class) of n patients whom the learners have not seen (Sadinle et al.
    2019, section 3); None for too few of them.
    """
    rank = ceil((len(scores) + 1) * Fraction(str(coverage)))  # in floats 100 · 0.55 is above 55, and the rank one more
    if rank > len(scores):
        return None
    return float(np.sort(scores)[-rank])


def _categorical(cohort: Cohort, question: Question) -> Any:
    """Return variables that the schema calls categories; by their type without one."""
    schema = read_schema(cohort.folder)
    if schema is None:
        return "auto"
    return tuple(c.name for c in schema.columns if c.kind == "category" and c.name in question.features)


def _earlier(folder: Path) -> list[Learner]:
    found: list[Learner] = []
    while (path := folder / f"{len(found) + 1:03d}.safetensors").is_file():
        arrays, about = storage.read_arrays(path)
        found.append(storage.learner_of(about, arrays, ""))
    return found


def _told(learner: Learner, ensemble: Ensemble) -> str:
    choice = learner.choice
    if choice.feature is None:
        return "no graph"
    name = ensemble.columns.names[choice.feature]
    return f"the same {name}" if not choice.threshold else f"{name} within {choice.threshold:.3g}"


def _counts(labels: pd.Series) -> str:
    return ", ".join(f"{name} {number}" for name, number in labels.value_counts().sort_index().items())


def _refuse_poor(cohort: Cohort, question: Question, training: Samples) -> None:
    if len(training.studies) < LEAST_TRAINING_PATIENTS:
        reason = f"only {len(training.studies)} patients of the training part have the label '{question.label}'"
        raise ScanweaveError(cohort.folder, reason, f"Give at least {LEAST_TRAINING_PATIENTS}")
    classes = training.labels.nunique()
    if classes < 2:
        words = f"'{training.labels.iloc[0]}' only"
        raise ScanweaveError(
            f"label {question.label}", f"the training part holds {words}", "Split anew, or name another"
        )
    if classes > max(20, len(training.studies) // 5):
        reason = f"has {classes} values in {len(training.studies)} patients, so it is no class"
        raise ScanweaveError(f"label {question.label}", reason, "Name a label with few classes, or a course")
