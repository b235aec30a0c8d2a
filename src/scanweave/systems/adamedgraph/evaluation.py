"""Answers on disk, and how good they are: measures with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, bootstrap_measure
from scanweave.measures.calibration import calibration_error
from scanweave.measures.classification import balanced_accuracy, brier, log_loss, multiclass_auroc
from scanweave.measures.delong import auroc_interval
from scanweave.measures.proportions import proportion
from scanweave.report.saving import save_table
from scanweave.studies.cohort import Cohort
from scanweave.systems.adamedgraph.fitted import FittedAdaMedGraph
from scanweave.systems.adamedgraph.record import Record

Say = Callable[[str], None]
PREDICTIONS, CLASSES = "predictions.csv", "classes.csv"
REPEATS = 500
FULL = 0.95
"""Share of the classes that a conformal set names on average from which it tells nothing."""
GAIN, COVERAGE, SIZE = "gain over the class shares", "coverage", "size of the set"
TOLD = ("AUROC", "sensitivity", "specificity", "coverage")
"""Measures of one class against the others."""
MEASURES: dict[str, Callable[..., float]] = {
    "AUROC": lambda classes, shares, _, __: multiclass_auroc(classes, shares),
    "balanced accuracy": lambda classes, shares, _, __: balanced_accuracy(classes, shares.argmax(1)),
    "accuracy": lambda classes, shares, _, __: float((shares.argmax(1) == classes).mean()),
    "log loss": lambda classes, shares, _, __: log_loss(classes, shares),
    GAIN: lambda classes, shares, _, prior: log_loss(classes, prior) - log_loss(classes, shares),
    "Brier score": lambda classes, shares, _, __: brier(classes, shares),
    COVERAGE: lambda classes, _, sets, __: float(sets[np.arange(len(classes)), classes].mean()),
    SIZE: lambda _, __, sets, ___: float(sets.sum(1).mean()),
}
"""Measures of classes `(n,)`, probabilities `(n, K)`, conformal sets `(n, K)`, class shares in training `(n, K)`."""


def evaluate(fitted: FittedAdaMedGraph, trial: Trial) -> pd.DataFrame:
    """Measure answers against what became of the patients, into `predictions.csv`, `summary.csv` and `summary.json`.

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
    found = measured(classes, answer.probabilities[known], answer.sets[known], prior, patients)
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
    save_table(
        by_class(classes, answer.probabilities[known], answer.sets[known], record.classes, patients),
        trial.folder / CLASSES,
    )
    trial.conclude(pd.DataFrame(rows), calibration_error=error)
    for row in rows:
        say(f"{row['measure']}: {found[str(row['measure'])]}")
    absent = [name for number, name in enumerate(record.classes) if number not in classes]
    if absent:
        say(f"caution: no study is of {', '.join(absent)}: no AUROC, and a balanced accuracy of the others")
    for words in cautions(rows, record):
        say(f"caution: {words}")
    return pd.DataFrame(rows)


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
    if size["value"] > FULL * len(record.classes):
        said.append("the sets name nearly every class of nearly every patient, so they tell nothing")
    return said


def by_class(
    classes: np.ndarray, shares: np.ndarray, sets: np.ndarray, names: Sequence[str], patients: Sequence[str]
) -> pd.DataFrame:
    """Measure how well each class is told from the others, with 95 % intervals: one row a class.

    AUROC with DeLong's interval; sensitivity and specificity of the most probable class with Wilson's, or by bootstrap
    over patients where these have several rows; coverage is the share of the class whose set holds it.
    """
    called, rows = shares.argmax(1), []
    alone = len(set(patients)) == len(patients)
    for number, name in enumerate(names):
        mine = classes == number
        row: dict[str, Any] = {"class": name, "studies": int(mine.sum()), "called so": int((called == number).sum())}
        row |= {f"{measure}{end}": np.nan for measure in TOLD for end in ("", " low", " high")}
        if mine.any() and not mine.all():
            right = {"sensitivity": (called == number)[mine], "specificity": (called != number)[~mine]}
            right["coverage"] = sets[mine, number]
            owners = {"sensitivity": mine, "specificity": ~mine, "coverage": mine}
            found = {"AUROC": auroc_interval(mine, shares[:, number], None if alone else patients)}
            for measure, hits in right.items():
                whose = np.array(patients)[owners[measure]].tolist()
                found[measure] = (
                    proportion(int(hits.sum()), len(hits))
                    if alone
                    else bootstrap_measure(np.mean, [hits], whose, method="percentile", seed=0, repeats=REPEATS)
                )
            for measure, one in found.items():
                row |= {measure: one.value, f"{measure} low": one.low, f"{measure} high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)


def measured(
    classes: np.ndarray, shares: np.ndarray, sets: np.ndarray, prior: np.ndarray, patients: list[str]
) -> dict[str, Interval]:
    """Return every measure with its interval over patients, but those that a class without a row makes unknown.

    Patients are drawn from all; for the AUROC, which needs every class, within their classes if they have one row each.
    That of two classes is DeLong's.
    """
    found: dict[str, Interval] = {}
    alone = len(set(patients)) == len(patients)
    for name, measure in MEASURES.items():
        strata = classes.tolist() if alone and name == "AUROC" else None
        try:
            if name == "AUROC" and shares.shape[1] == 2:
                found[name] = auroc_interval(classes == 1, shares[:, 1], None if alone else patients)
                continue
            found[name] = bootstrap_measure(
                measure,
                [classes, shares, sets, prior],
                patients,
                strata=strata,
                method="percentile",
                seed=0,
                repeats=REPEATS,
            )
        except ScanweaveError as error:
            if error.where not in ("classes", "strata", "positive"):  # a class without a row: there is no AUROC
                raise
    return found


def _numbers(cohort: Cohort, truth: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    strange = sorted(set(truth) - set(classes))
    if strange:
        reason = f"has the class '{strange[0]}', which the run does not know"
        raise ScanweaveError(cohort.folder, reason, f"It knows {', '.join(classes)}")
    return truth.map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=np.int64)
