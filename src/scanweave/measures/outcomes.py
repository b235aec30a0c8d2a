"""How well outcomes are told, as tables: measures with intervals by patient, of classes and of one against the rest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, bootstrap_measure
from scanweave.measures.classification import (
    auprc,
    balanced_accuracy,
    brier,
    f1,
    log_loss,
    mcc,
    multiclass_auroc,
)
from scanweave.measures.delong import auroc_interval
from scanweave.measures.proportions import proportion

REPEATS = 500
Measure = Callable[..., float]
CLASS_MEASURES: dict[str, Measure] = {
    "AUROC": lambda classes, shares: multiclass_auroc(classes, shares),
    "balanced accuracy": lambda classes, shares: balanced_accuracy(classes, shares.argmax(1)),
    "accuracy": lambda classes, shares: float((shares.argmax(1) == classes).mean()),
    "log loss": lambda classes, shares: log_loss(classes, shares),
    "Brier score": lambda classes, shares: brier(classes, shares),
    "F1": lambda classes, shares: f1(classes, shares.argmax(1), "macro"),
    "MCC": lambda classes, shares: mcc(classes, shares.argmax(1)),
}
"""Measures of classes `(N,)` and probabilities `(N, C)`; the most probable class is called."""
SCORE_MEASURES: dict[str, Measure] = {
    "AUPRC": lambda positive, shares: auprc(positive, shares),
    "Brier score": lambda positive, shares: brier(positive.astype(int), shares),
    "log loss": lambda positive, shares: log_loss(positive.astype(int), shares),
}
"""Measures of a binary outcome `(N,)` and its probability `(N,)`; the AUROC stands beside them."""
CALL_MEASURES: dict[str, Measure] = {
    "sensitivity": lambda positive, called: float(called[positive].mean()),
    "specificity": lambda positive, called: float((~called[~positive]).mean()),
    "balanced accuracy": lambda positive, called: balanced_accuracy(positive.astype(int), called.astype(int)),
    "F1": lambda positive, called: f1(positive.astype(int), called.astype(int)),
    "MCC": lambda positive, called: mcc(positive.astype(int), called.astype(int)),
}
"""Measures of a binary outcome `(N,)` and of who was called positive `(N,)`."""
_NO_CLASS = ("classes", "strata", "positive")
"""Where an error stands that a class without a row, or of one patient alone, makes."""


def measure_classes(
    classes: NDArray[np.int64],
    shares: NDArray[np.float64],
    patients: Sequence[Hashable],
    measures: Mapping[str, Measure] = CLASS_MEASURES,
    more: Sequence[ArrayLike] = (),
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, Interval]:
    """Return every measure of classes with its interval over patients; those that a class without a row makes unknown
    are left out.

    Patients are drawn from all; for the AUROC, which needs every class, within their classes if they have one row each.
    That of two classes is DeLong's.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        shares: Probabilities `(N, C)`.
        patients: The patient of each row.
        measures: From classes, probabilities and `more` to a number.
        more: Further columns `(N, …)`.
        seed: Of the resampling.
        repeats: Resamples.
    """
    found: dict[str, Interval] = {}
    alone = len(set(patients)) == len(patients)
    for name, measure in measures.items():
        strata = classes.tolist() if alone and name == "AUROC" else None
        try:
            if name == "AUROC" and shares.shape[1] == 2:
                found[name] = auroc_interval(classes == 1, shares[:, 1], None if alone else patients)
                continue
            found[name] = bootstrap_measure(
                measure,
                [classes, shares, *more],
                patients,
                strata=strata,
                method="percentile",
                seed=seed,
                repeats=repeats,
            )
        except ScanweaveError as error:
            if error.where not in _NO_CLASS:
                raise
    return found


def measure_scores(
    positive: NDArray[np.bool_],
    shares: NDArray[np.float64],
    patients: Sequence[Hashable],
    called: NDArray[np.bool_] | None = None,
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, Interval]:
    """Return the measures of a binary outcome with their intervals over patients; none where all rows are of one side.

    AUROC with DeLong's interval; the others by bootstrap, of patients within the two sides if they have one row each.

    Args:
        positive: `(N,)`.
        shares: Its probability `(N,)`.
        patients: The patient of each row.
        called: Who is called positive, by a threshold that was chosen on others.
        seed: Of the resampling.
        repeats: Resamples.
    """
    if positive.all() or not positive.any():
        return {}
    alone = len(set(patients)) == len(patients)
    found = {"AUROC": auroc_interval(positive, shares, None if alone else patients)}
    jobs = [(name, measure, shares) for name, measure in SCORE_MEASURES.items()]
    jobs += [] if called is None else [(name, measure, called) for name, measure in CALL_MEASURES.items()]
    strata = positive.tolist() if alone else None
    for name, measure, column in jobs:
        try:
            found[name] = bootstrap_measure(
                measure, [positive, column], patients, strata=strata, method="percentile", seed=seed, repeats=repeats
            )
        except ScanweaveError as error:
            if error.where not in _NO_CLASS:
                raise
    return found


def measure_mean_auroc(
    truths: NDArray[np.float64],
    shares: NDArray[np.float64],
    patients: Sequence[Hashable],
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Interval | None:
    """Return the mean AUROC of several findings, each over the rows where it is known; None where none has both sides.

    Args:
        truths: 1, 0 or NaN `(N, K)`.
        shares: Probabilities `(N, K)`.
        patients: The patient of each row.
        seed: Of the resampling.
        repeats: Resamples.
    """

    def mean_area(truth: NDArray[np.float64], share: NDArray[np.float64]) -> float:
        areas = [_area(truth[:, k], share[:, k]) for k in range(truth.shape[1])]
        known = [area for area in areas if not np.isnan(area)]
        return float(np.mean(known)) if known else float("nan")

    if np.isnan(mean_area(truths, shares)):
        return None
    return bootstrap_measure(mean_area, [truths, shares], patients, method="percentile", seed=seed, repeats=repeats)


def _area(truth: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    from scanweave.measures.classification import auroc

    known = ~np.isnan(truth)
    sides = truth[known] > 0
    if sides.all() or not sides.any():
        return float("nan")
    return auroc(sides, share[known])


TOLD = ("AUROC", "sensitivity", "specificity")
"""Measures of one class against the others."""
COVERAGE = "coverage"


def class_table(
    classes: NDArray[np.int64],
    shares: NDArray[np.float64],
    names: Sequence[str],
    patients: Sequence[str],
    sets: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return for each class how well it is told from the others, with 95 % intervals: one row a class.

    AUROC with DeLong's interval; sensitivity and specificity of the most probable class with Wilson's, or by bootstrap
    over patients where these have several rows.

    Args:
        classes: `(N,)` numbers of `names`.
        shares: Probabilities `(N, C)`.
        names: Of the classes.
        patients: The patient of each row.
        sets: Whether the conformal set of a row holds a class `(N, C)`; then also `coverage`: the share of the class
            whose set holds it.
    """
    called, rows = shares.argmax(1), []
    alone = len(set(patients)) == len(patients)
    told = (*TOLD, COVERAGE) if sets is not None else TOLD
    for number, name in enumerate(names):
        mine = classes == number
        row: dict[str, Any] = {"class": name, "studies": int(mine.sum()), "called so": int((called == number).sum())}
        row |= {f"{measure}{end}": np.nan for measure in told for end in ("", " low", " high")}
        if mine.any() and not mine.all():
            right = {"sensitivity": (called == number)[mine], "specificity": (called != number)[~mine]}
            owners = {"sensitivity": mine, "specificity": ~mine, COVERAGE: mine}
            if sets is not None:
                right[COVERAGE] = sets[mine, number]
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


def confusion_table(classes: NDArray[np.int64], called: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return how many rows of each class were called what: a row a true class, a column a called one."""
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (classes, called), 1)
    return pd.DataFrame(counts, index=pd.Index(names, name="truth"), columns=[f"called {name}" for name in names])
