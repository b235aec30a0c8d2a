"""AdaMedGraph as a user meets it: fit, predict, evaluate, explain, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.fits import SEEN, ensure_splits, fitted_config, start_fit
from scanweave.engine.run import Run
from scanweave.engine.selection import Choice, refuse_options
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study
from scanweave.studies.tables.schema import read_schema
from scanweave.studies.tables.table_check import giving_away
from scanweave.systems.adamedgraph import evaluation, explanation, report, storage
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier, AfterRound
from scanweave.systems.adamedgraph.config import AdaMedGraphConfig
from scanweave.systems.adamedgraph.ensemble import Ensemble, Learner
from scanweave.systems.adamedgraph.record import Record, read_record, told
from scanweave.systems.adamedgraph.samples import Question, Samples, ask, differences, gather, outside, strangers
from scanweave.wording import count

Say = Callable[[str], None]
LEAST = 10
"""Training patients below which nothing is learnt."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What is predicted for studies.

    Attributes:
        samples: Which studies.
        probabilities: Of each class `(n, K)`.
        sets: Whether a class belongs to the conformal set `(n, K)`.
        matrix: The variables as numbers `(n, d)`.
        outside: Which of these lie far outside of what training patients had `(n, d)`.
    """

    samples: Samples
    matrix: np.ndarray
    probabilities: np.ndarray
    sets: np.ndarray
    outside: np.ndarray


class AdaMedGraph:
    """A fitted AdaMedGraph.

    Args:
        run: Its run folder.
        device: Of no effect; graphs of one column are computed on the processor.
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.config = fitted_config(run, AdaMedGraphConfig)
        self.record: Record = read_record(run.folder)
        self.ensemble: Ensemble = storage.load(run.weights)

    @classmethod
    def fit(
        cls,
        cohort: Cohort,
        run: str | Path,
        config: AdaMedGraphConfig,
        *,
        fold: int = 0,
        workers: int = 1,
        say: Say = print,
    ) -> AdaMedGraph:
        """Learn a label of a cohort from its variables, on its training part; continue a fit that was stopped.

        Args:
            cohort: Studies with variables and a label.
            run: The run folder.
            config: Every setting.
            fold: Which fold of the cohort's splits trains.
            workers: Of no effect.
            say: Takes one line for each choice made, and why.

        Raises:
            ScanweaveError: Nothing to learn from, the run folder is in use or holds another run.
        """
        if config.boosting.learner != "appnp":
            raise ScanweaveError(*storage.NOT_KEPT)
        ensure_splits(cohort, say)
        parts = [cohort.part(part, fold) for part in SEEN]
        question = ask(cohort, parts[0], config, say)
        training, validation = (gather(part, question, config).known() for part in parts)
        _refuse_poor(cohort, question, training)
        with start_fit(run, "adamedgraph", config, cohort, (), fold=fold, say=say) as started:
            if started.finished:
                say(f"{started.folder} is finished: nothing to do")
            else:
                _introduce(question, training, validation, fold, say)
                suspects = giving_away(parts[0], question.features, question.label)
                for name, words in suspects.items():
                    say(f"caution: {name} {words}; if so: --leave-out {name}")
                _learn(started, config, question, training, validation, cohort, suspects, say)
        return cls(Run.open(run))

    @classmethod
    def open(cls, run: str | Path, device: str = "auto") -> AdaMedGraph:
        """Open the run folder of a finished fit."""
        return cls(Run.open(run), device)

    def answer(self, cohort: Cohort, say: Say = print) -> Answer:
        """Probabilities and conformal sets for the studies of a cohort, each as if it came alone.

        Args:
            cohort: Any cohort with the run's variables.
            say: Is told of later visits that are left out, and of what is not as in the training patients.

        Raises:
            ScanweaveError: The cohort has no variable of the run, or one in another unit or kind.
        """
        samples = gather(cohort, self.record.question, self.config)
        for line in differences(cohort, samples, self.ensemble.columns, self.record.units):
            say(line)
        if len(samples.studies) < len(cohort):
            say(f"first visits only, one a patient: {len(samples.studies)} of {len(cohort)} studies")
        answer = self._answered(samples)
        for line in strangers(answer.matrix, answer.outside, self.ensemble):
            say(line)
        return answer

    def _answered(self, samples: Samples) -> Answer:
        matrix = self.ensemble.columns.matrix(samples.table)
        probabilities = self.ensemble.probabilities(matrix)
        limit = self.record.conformal
        sets = np.ones_like(probabilities, dtype=bool) if limit is None else probabilities >= limit
        return Answer(samples, matrix, probabilities, sets, outside(matrix, self.ensemble))

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """The class of one study.

        Args:
            study: Holds some of the run's variables; what it lacks counts as missing.
            targets: Of no effect.

        Returns:
            A study with `labels` (the class) and `table` (the probability of each class).

        Raises:
            ScanweaveError: It holds no variable of the run.
        """
        there = {name: study.table.get(name) for name in self.record.features}
        if all(value is None for value in there.values()):
            names = ", ".join(self.record.features[:5])
            raise ScanweaveError(study.id, "holds no variable of this run", f"Give some of {names}")
        frame = pd.DataFrame({name: [value] for name, value in there.items()})
        made = self._answered(Samples(frame, [study.id], [study.patient], pd.Series([None], dtype=object)))
        shares = dict(zip(self.record.classes, made.probabilities[0].tolist(), strict=True))
        best = max(shares, key=lambda name: shares[name])
        return Study(
            study.id,
            study.patient,
            labels={self.record.label: best},
            table={f"probability_{name}": share for name, share in shares.items()},
        )

    def predict_cohort(self, cohort: Cohort, out: Path, say: Say = print) -> int:
        """Write `predictions.csv` and a cohort of the predicted labels; see `evaluation.write_predictions`."""
        return evaluation.write_predictions(self, cohort, out, say)

    def evaluate(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        say: Say = print,
        **options: Any,
    ) -> pd.DataFrame:
        """Measure answers against what became of the patients; see `evaluation.evaluate`.

        Raises:
            ScanweaveError: An option of another system is given, or no study has the label.
        """
        refuse_options(options)
        return evaluation.evaluate(self, cohort, out, part=part, say=say)

    def explain(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        pictures: int = explanation.PICTURES,
        say: Say = print,
        **options: Any,
    ) -> pd.DataFrame:
        """Say whom each patient resembles, by what, and what became of them; see `explanation.explain`.

        Raises:
            ScanweaveError: An option of another system is given.
        """
        refuse_options(options)
        return explanation.explain(self, cohort, out, part=part, pictures=pictures, say=say)

    def report(self, path: str | Path | None = None) -> Path:
        """Write all that the run folder knows as one HTML page, `report.html` in it unless `path` is given."""
        return report.write(self, path)


def _introduce(question: Question, training: Samples, validation: Samples, fold: int, say: Say) -> None:
    names, rows = question.features, count(len(training.studies), "row")
    say(f"label: {question.label}, {_counts(training.labels)}")
    say(f"split of fold {fold}: {rows} to train on, {len(validation.studies)} to choose the rounds on")
    say(f"variables: {len(names)} ({', '.join(names[:8])}{' …' if len(names) > 8 else ''})")


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
        course=told(question.course),
        classes=tuple(map(str, model.classes_)),
        studies=tuple(np.array(both.studies)[nodes]),
        patients=tuple(np.array(both.patients)[nodes]),
        conformal=conformal_limit(model.validation_scores_, config.coverage),
        coverage=config.coverage,
        units={c.name: c.unit for c in schema.columns if c.unit} if schema else {},
        suspects=suspects,
    ).save(run.folder)
    if schema is not None:
        schema.bare().save(run.folder)  # for tables of new patients
    storage.save(run.weights, model.ensemble_)
    run.finish(weights="refit" if config.boosting.refit else "search", step=kept)


def _keeper(run: Run, earlier: int, say: Say) -> AfterRound:
    """What keeps and tells each round."""

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
    """Probability from which on a class belongs to a patient's set (split conformal, least ambiguous sets).

    The ⌈(n + 1) · coverage⌉-th smallest 1 - p(true class) of n patients whom the learners have not seen (Sadinle et al.
    2019, section 3); None for too few of them.
    """
    rank = ceil((len(scores) + 1) * Fraction(str(coverage)))  # in floats 100 · 0.55 is above 55, and the rank one more
    if rank > len(scores):
        return None
    return float(np.sort(scores)[-rank])


def _categorical(cohort: Cohort, question: Question) -> Any:
    """Variables that the schema calls categories; by their type without one."""
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
    if len(training.studies) < LEAST:
        reason = f"only {len(training.studies)} patients of the training part have the label '{question.label}'"
        raise ScanweaveError(cohort.folder, reason, f"Give at least {LEAST}")
    classes = training.labels.nunique()
    if classes < 2:
        words = f"'{training.labels.iloc[0]}' only"
        raise ScanweaveError(
            f"label {question.label}", f"the training part holds {words}", "Split anew, or name another"
        )
    if classes > max(20, len(training.studies) // 5):
        reason = f"has {classes} values in {len(training.studies)} patients, so it is no class"
        raise ScanweaveError(f"label {question.label}", reason, "Name a label with few classes, or a course")
