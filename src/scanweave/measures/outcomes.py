"""Tables of how well outcomes are told: measures of classes, and of one against the rest, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, bootstrap, bootstrap_measure
from scanweave.measures.calibration import LEAST_PROBABILITY, recalibration
from scanweave.measures.classification import (
    auprc,
    auroc,
    balanced_accuracy,
    brier,
    log_loss,
    multiclass_auroc,
)
from scanweave.measures.confusion import BINARY_CALLS, measure_calls
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
}
"""Measures of classes `(N,)` and probabilities `(N, C)`; the most probable class is called."""
LOG_LOSS = "log loss"
SLOPE, INTERCEPT = "calibration slope", "calibration intercept"
TOLD = ("AUROC", "sensitivity", "specificity", SLOPE, INTERCEPT)
"""Measures of one class against the others."""
COVERAGE = "coverage"
_NO_CLASS = ("classes", "strata", "positive")
"""Places named by errors that come from a class without a row, or with one patient alone."""


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
    """Return measures of classes with intervals over patients, without those that a class without a row leaves unknown.

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


def measure_told(
    classes: NDArray[np.int64],
    shares: NDArray[np.float64],
    patients: Sequence[Hashable],
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, Interval]:
    """Return AUROC, log loss, Brier score and what the most probable class is worth, with intervals over patients.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        shares: Probabilities `(N, C)`.
        patients: The patient of each row.
        seed: Of the resampling.
        repeats: Resamples.
    """
    area = {"AUROC": CLASS_MEASURES["AUROC"]}
    found = measure_classes(classes, shares, patients, area, seed=seed, repeats=repeats)
    found |= _measure_losses(classes, shares, patients, seed, repeats)
    called, count = shares.argmax(axis=1), shares.shape[1]
    return found | measure_calls(classes, called, count, patients, seed=seed, repeats=repeats)


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

    AUROC with DeLong's interval, calibration slope and intercept with Wald's; the others by bootstrap, that of the
    AUPRC within the two sides if patients have one row each.

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
    try:
        found["AUPRC"] = bootstrap_measure(
            auprc,
            [positive, shares],
            patients,
            strata=positive.tolist() if alone else None,
            method="percentile",
            seed=seed,
            repeats=repeats,
        )
    except ScanweaveError as error:
        if error.where not in _NO_CLASS:
            raise
    found |= _measure_losses(positive.astype(int), np.stack([1 - shares, shares], axis=1), patients, seed, repeats)
    found |= measure_calibration(positive, shares, patients)
    if called is not None:
        found |= measure_calls(positive, called, 2, patients, BINARY_CALLS, seed=seed, repeats=repeats)
    return found


def measure_calibration(
    positive: NDArray[np.bool_], shares: NDArray[np.float64], patients: Sequence[Hashable]
) -> dict[str, Interval]:
    """Return calibration slope and intercept of a binary outcome, each only where it can be told.

    Args:
        positive: `(N,)`.
        shares: Its probability `(N,)`.
        patients: The patient of each row.
    """
    if positive.all() or not positive.any():
        return {}
    found = recalibration(positive, shares, None if len(set(patients)) == len(patients) else patients)
    return {name: one for name, one in ((SLOPE, found.slope), (INTERCEPT, found.intercept)) if not np.isnan(one.value)}


def _measure_losses(
    classes: NDArray[np.int64], shares: NDArray[np.float64], patients: Sequence[Hashable], seed: int, repeats: int
) -> dict[str, Interval]:
    """Measure log loss and Brier score, means over rows."""
    losses = row_losses(classes, shares)
    return {name: bootstrap(loss, patients, seed=seed, repeats=repeats) for name, loss in losses.items()}


def row_losses(classes: NDArray[np.int64], shares: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return what each row adds to the log loss and to the Brier score `(N,)`; that of two classes as in `brier`.

    Args:
        classes: `(N,)` numbers 0 … C − 1.
        shares: Probabilities `(N, C)`.
    """
    truth = np.eye(shares.shape[1])[classes]
    of_true = np.maximum((shares * truth).sum(axis=1), LEAST_PROBABILITY)
    squares = ((shares - truth) ** 2).sum(axis=1) / (2 if shares.shape[1] == 2 else 1)
    return {LOG_LOSS: -np.log(of_true), "Brier score": squares}


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
    known = ~np.isnan(truth)
    sides = truth[known] > 0
    if sides.all() or not sides.any():
        return float("nan")
    return auroc(sides, share[known])


def class_table(
    classes: NDArray[np.int64],
    shares: NDArray[np.float64],
    names: Sequence[str],
    patients: Sequence[str],
    sets: NDArray[np.bool_] | None = None,
    *,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """Return for each class how well it is told from the others, with 95 % intervals: one row a class.

    AUROC with DeLong's interval; sensitivity and specificity of the most probable class with Wilson's, or by bootstrap
    over patients where these have several rows; calibration slope and intercept of its probability with Wald's.

    Args:
        classes: `(N,)` numbers of `names`.
        shares: Probabilities `(N, C)`.
        names: Of the classes.
        patients: The patient of each row.
        sets: Whether the conformal set of a row holds a class `(N, C)`; then also `coverage`: the share of the class
            whose set holds it.
        repeats: Resamples.
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
                    else bootstrap_measure(np.mean, [hits], whose, method="percentile", seed=0, repeats=repeats)
                )
            found |= measure_calibration(mine, shares[:, number], patients)
            for measure, one in found.items():
                row |= {measure: one.value, f"{measure} low": one.low, f"{measure} high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)
