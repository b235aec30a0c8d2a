"""Evaluation of classes or findings, beside what one says without any image; intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import Tried, predictions_table
from scanweave.framework.classification.validation import binary_truths
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval
from scanweave.measures.calibration import calibration_error
from scanweave.measures.classification import brier
from scanweave.measures.confusion import BINARY_CALLS, CALLS, confusion_counts
from scanweave.measures.outcomes import (
    INTERCEPT,
    SLOPE,
    class_table,
    measure_mean_auroc,
    measure_scores,
    measure_told,
)
from scanweave.report.saving import save_table
from scanweave.studies.study import Study

PREDICTIONS, CLASSES, CONFUSION = "predictions.csv", "classes.csv", "confusion.csv"
ALL = "mean of the findings"
CALIBRATION = "calibration error"
AT_POINT = "at the operating point"


def try_studies(
    fitted: Answering, trial: Trial, more: Callable[[Study], Any] = lambda study: None, **asked: Any
) -> Tried:
    """Predict the studies of a trial of which a label is known.

    Args:
        fitted: The fitted run.
        trial: The studies; those of which nothing is known are left out, and told.
        more: What else is to be found of each study, as plain values.
        asked: Options that this depends on.

    Raises:
        ScanweaveError: No study has a label of the run, or one has a class that the run does not know.
    """
    question, frame = fitted.plan.question, trial.cohort.frame
    absent = [name for name in question.labels if f"label:{name}" not in frame]
    if len(absent) == len(question.labels):
        raise ScanweaveError(trial.cohort.folder, f"has no label '{absent[0]}'", "Predict it instead")
    frame = frame.assign(**{f"label:{name}": None for name in absent})
    answers = dict(zip(trial.cohort.studies, question.answers(frame), strict=True))

    def told(study: Study) -> tuple[str, list[float], Any]:
        if np.isnan(answers[study.id]).all():
            raise ScanweaveError(study.id, "no label of the run is known", "Predict it instead")
        return study.patient, fitted.probabilities(study).tolist(), more(study)

    found = dict(trial.each(told, asked))
    return Tried(
        list(found),
        [patient for patient, _, _ in found.values()],
        np.stack([answers[name] for name in found]),
        np.array([shares for _, shares, _ in found.values()], dtype=np.float64),
        [extra for _, _, extra in found.values()],
    )


def measure(
    fitted: Answering,
    trial: Trial,
    tried: Tried,
    options: EvaluateOptions,
    more: Sequence[Mapping[str, Any]] = (),
    **about: Any,
) -> pd.DataFrame:
    """Measure what is predicted, into `predictions.csv`, `classes.csv`, `confusion.csv` and the summary.

    Args:
        fitted: The fitted run.
        trial: Where the results go.
        tried: What is predicted and what is known.
        options: Of the resampling.
        more: Rows of the summary that something else has measured, and told.
        about: What else the summary is about.

    Returns:
        One row an outcome and measure: value, low, high, patients, studies, and what the shares of the training studies
        reach as control.
    """
    plan, classes = fitted.plan, fitted.plan.kind == "classes"
    rows = [*(_of_classes if classes else _of_findings)(fitted, tried, options)]
    summary = pd.DataFrame([*rows, *more])
    save_table(predictions_table(plan, tried), trial.folder / PREDICTIONS)
    if classes:
        truth = tried.answers[:, 0].astype(int)
        save_table(class_table(truth, tried.shares, plan.outputs, tried.patients), trial.folder / CLASSES)
        counts = confusion_counts(truth, tried.shares.argmax(1), len(plan.outputs))
        mixed = pd.DataFrame(counts, columns=[f"called {name}" for name in plan.outputs])
        save_table(mixed.assign(truth=plan.outputs).set_index("truth").reset_index(), trial.folder / CONFUSION)
    points = {name: point.threshold for name, point in fitted.points.items()}
    trial.conclude(summary, kind=plan.kind, points=points, **about)
    for line in outcome_lines(rows, "class shares alone"):
        trial.say(line)
    for line in _one_sided(fitted, tried):
        trial.say(line)
    return summary


def _one_sided(fitted: Answering, tried: Tried) -> Iterator[str]:
    """Tell of what there is no AUROC, since the studies hold one side of it only."""
    truths = [truth[~np.isnan(truth)] for truth in binary_truths(tried.answers, fitted.plan)]
    alone = [name for name, truth in zip(fitted.plan.outputs, truths, strict=True) if len(set(truth.tolist())) < 2]
    if fitted.plan.kind == "findings" and alone:
        yield f"note: not measured, since all studies are of one side: {', '.join(alone)}"
    elif len(alone) == len(fitted.plan.outputs):
        yield f"note: no AUROC, since all studies have the same {fitted.plan.labels[0]}"


def _of_classes(fitted: Answering, tried: Tried, options: EvaluateOptions) -> Iterator[dict[str, Any]]:
    plan, truth = fitted.plan, tried.answers[:, 0].astype(int)
    settings = {"seed": options.seed, "repeats": options.repeats}
    found = measure_told(truth, tried.shares, tried.patients, **settings)
    found[CALIBRATION] = _alone(calibration_error(truth, tried.shares), tried.patients)
    yield from _rows(plan.labels[0], found, class_controls(truth, plan.shares), len(truth))
    for name, point in fitted.points.items():
        number = plan.outputs.index(name)
        positive, called = truth == number, point.call(tried.shares[:, number])
        of = measure_scores(positive, tried.shares[:, number], tried.patients, called, **settings)
        told = {measure: of[measure] for measure in ("AUPRC", SLOPE, INTERCEPT, *BINARY_CALLS) if measure in of}
        controls = {"AUPRC": float(positive.mean())}
        yield from _rows(f"{plan.labels[0]}: {name}", told, controls, len(truth), point.threshold)


def _of_findings(fitted: Answering, tried: Tried, options: EvaluateOptions) -> Iterator[dict[str, Any]]:
    plan, settings = fitted.plan, {"seed": options.seed, "repeats": options.repeats}
    mean = measure_mean_auroc(tried.answers, tried.shares, tried.patients, **settings)
    if mean is not None:
        yield from _rows(ALL, {"AUROC": mean}, {"AUROC": 0.5}, len(tried.studies))
    for number, truth in enumerate(binary_truths(tried.answers, plan)):
        known = ~np.isnan(truth)
        positive, shares = truth[known] > 0, tried.shares[known, number]
        if positive.all() or not positive.any():
            continue
        point = fitted.points[plan.outputs[number]]
        patients = [patient for patient, there in zip(tried.patients, known, strict=True) if there]
        found = measure_scores(positive, shares, patients, point.call(shares), **settings)
        found[CALIBRATION] = _alone(calibration_error(positive.astype(int), shares), patients)
        share = plan.shares[number]
        told = class_controls(positive.astype(int), (1 - share, share))
        controls: dict[str, float] = {name: told[name] for name in ("AUROC", "log loss", "Brier score") if name in told}
        controls["AUPRC"] = float(positive.mean())
        yield from _rows(plan.outputs[number], found, controls, len(positive), point.threshold)


def _rows(
    outcome: str,
    found: dict[str, Interval],
    controls: dict[str, float],
    studies: int,
    threshold: float = float("nan"),
) -> Iterator[dict[str, Any]]:
    for measure, one in found.items():
        called = measure in BINARY_CALLS and not np.isnan(threshold)
        yield {
            "outcome": outcome,
            "measure": f"{measure} {AT_POINT}" if called else measure,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "patients": one.n,
            "studies": studies,
            "control": controls.get(measure, float("nan")),
        }


def _alone(value: float, patients: list[str]) -> Interval:
    """Return a figure that must not be resampled."""
    return Interval(value, float("nan"), float("nan"), len(set(patients)))


def class_controls(truth: NDArray[np.int64], shares: Sequence[float]) -> dict[str, float]:
    """Return what the class shares of the training studies reach, which are the same for every study.

    Args:
        truth: Classes `(N,)`.
        shares: Of each class, at least 0.
    """
    chance, counts = np.array(shares), confusion_counts(truth, np.full(len(truth), np.argmax(shares)), len(shares))
    calls = {name: float(measure(counts.astype(float))) for name, measure in CALLS.items()}
    known = chance[truth].min() > 0  # a log loss of what was never seen has no end
    losses = {"log loss": float(-np.log(chance[truth]).mean())} if known else {}
    return {"AUROC": 0.5, **calls, **losses, "Brier score": brier(truth, np.tile(chance, (len(truth), 1)))}
