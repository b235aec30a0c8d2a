"""Answers on disk, and how good they are: measures with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.calibration import calibration_error
from scanweave.measures.classification import log_loss
from scanweave.measures.outcomes import CLASS_MEASURES, COVERAGE, Measure, class_table, measure_classes
from scanweave.measures.outcomes import TOLD as CLASS_TOLD
from scanweave.report.saving import save_table
from scanweave.studies.cohort import Cohort
from scanweave.systems.adamedgraph.fitted import FittedAdaMedGraph
from scanweave.systems.adamedgraph.plain_models import OURS, compare_models, fit_plain_models, verdict
from scanweave.systems.adamedgraph.record import Record

Say = Callable[[str], None]
PREDICTIONS, CLASSES, MODELS = "predictions.csv", "classes.csv", "models.csv"
UNTELLING_SET_FRACTION = 0.95
"""Share of the classes that a conformal set names on average from which it tells nothing."""
REPEATS = 500
GAIN, SIZE = "gain over the class shares", "size of the set"
TOLD = (*CLASS_TOLD, COVERAGE)
"""Measures of one class against the others."""


def _plain(name: str) -> Measure:
    """Return a measure of classes and probabilities alone."""
    measure = CLASS_MEASURES[name]
    return lambda classes, shares, _, __: measure(classes, shares)


MEASURES: dict[str, Measure] = {
    **{name: _plain(name) for name in ("AUROC", "balanced accuracy", "accuracy", "log loss")},
    GAIN: lambda classes, shares, _, prior: log_loss(classes, prior) - log_loss(classes, shares),
    "Brier score": _plain("Brier score"),
    COVERAGE: lambda classes, _, sets, __: float(sets[np.arange(len(classes)), classes].mean()),
    SIZE: lambda _, __, sets, ___: float(sets.sum(1).mean()),
}
"""Measures of classes `(n,)`, probabilities `(n, K)`, conformal sets `(n, K)`, class shares in training `(n, K)`."""


def evaluate(fitted: FittedAdaMedGraph, trial: Trial) -> pd.DataFrame:
    """Measure answers against what became of the patients, into `predictions.csv`, `summary.csv` and `summary.json`.

    `models.csv` sets a logistic regression and boosted trees beside them, learnt and tried on the same patients.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.

    Returns:
        One row a measure: value, low, high, patients, studies.

    Raises:
        ScanweaveError: No study has the label, or one of a class that the run does not know.
    """
    record, say = fitted.record, trial.say
    answer = fitted.answer(trial.cohort, say)
    table = fitted.table(answer)
    known = table["truth"].notna().to_numpy()
    if not known.any():
        raise ScanweaveError(trial.cohort.folder, f"no study has the label '{record.label}'", "Predict it instead")
    classes = _numbers(trial.cohort, table["truth"][known], record.classes)
    prior = np.tile(fitted.class_shares(), (len(classes), 1))
    patients = table["patient"][known].tolist()
    columns = [answer.sets[known], prior]
    found = measure_classes(classes, answer.probabilities[known], patients, MEASURES, columns, repeats=REPEATS)
    rows = [
        {
            "measure": name,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "patients": one.n,
            "studies": len(classes),
        }
        for name, one in found.items()
    ]
    trial.left_out.update(dict.fromkeys(table["study"][~known], f"'{record.label}' is not known"))
    error = calibration_error(classes, answer.probabilities[known])
    save_table(table, trial.folder / PREDICTIONS)
    by_class = class_table(classes, answer.probabilities[known], record.classes, patients, columns[0], repeats=REPEATS)
    save_table(by_class, trial.folder / CLASSES)
    models = _beside_plain_models(fitted, answer.matrix[known], answer.probabilities[known], classes, patients)
    save_table(models, trial.folder / MODELS)
    trial.conclude(pd.DataFrame(rows), calibration_error=error)
    for row in rows:
        say(f"{row['measure']}: {found[str(row['measure'])]}")
    absent = [name for number, name in enumerate(record.classes) if number not in classes]
    if absent:
        say(f"caution: no study is of {', '.join(absent)}: no AUROC, and a balanced accuracy of the others")
    for words in cautions(rows, record):
        say(f"caution: {words}")
    told, doubt = verdict(models)
    if told:
        say(f"caution: {told[0].lower()}{told[1:]}" if doubt else told)
    return pd.DataFrame(rows)


def _beside_plain_models(
    fitted: FittedAdaMedGraph, matrix: np.ndarray, ours: np.ndarray, classes: np.ndarray, patients: list[str]
) -> pd.DataFrame:
    """Return the measures of the run beside those of plain models, learnt and tried on the same patients."""
    plain = fit_plain_models(fitted.ensemble, fitted.record.patients, fitted.config.boosting.random_state)
    answers = {OURS: ours, **{name: model(matrix) for name, model in plain.items()}}
    return compare_models(classes, answers, patients, repeats=REPEATS)


def cautions(rows: Sequence[Mapping[str, Any]], record: Record) -> list[str]:
    """Say what a reader of the measures must not overlook, as sentences without a capital or a stop."""
    empty = {"value": np.nan, "low": np.nan, "high": np.nan}
    found = {row["measure"]: empty | {key: row[key] for key in empty if row[key] is not None} for row in rows}
    gain, coverage, size = (found[name] for name in (GAIN, COVERAGE, SIZE))
    said = []
    if gain["high"] < 0:
        said.append("the answers are worse than the shares of the classes, which ask for no patient: do not use them")
    elif not gain["low"] > 0:
        said.append(
            "it is not shown that the answers tell more than the shares of the classes, which ask for no patient"
        )
    if coverage["high"] < record.coverage:
        said.append(
            f"the sets hold the truth in {coverage['value']:.0%} of patients, not in the {record.coverage:.0%} meant"
        )
    if size["value"] > UNTELLING_SET_FRACTION * len(record.classes):
        said.append("the sets name nearly every class of nearly every patient, so they tell nothing")
    return said


def _numbers(cohort: Cohort, truth: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    strange = sorted(set(truth) - set(classes))
    if strange:
        reason = f"has the class '{strange[0]}', which the run does not know"
        raise ScanweaveError(cohort.folder, reason, f"It knows {', '.join(classes)}")
    return truth.map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=np.int64)
