"""AUROCs and how sure they are, whatever the scores (DeLong et al. 1988), by patient (Obuchowski 1997)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.checks import FloatArray, checked_fraction, checked_outcomes
from scanweave.measures.comparisons import Aim, Comparison, wald


def aurocs_with_covariance(
    positive: ArrayLike, scores: Sequence[ArrayLike], patients: Sequence[Hashable] | None = None
) -> tuple[FloatArray, FloatArray, int]:
    """Return the AUROCs of K scores of the same rows, and their covariance.

    A row's share in an AUROC (its structural component) follows from its rank among all rows and among its own class,
    in O(N log N) (Sun & Xu 2014, eq. 6 to 8). The shares of a patient's rows are added up before their spread is taken
    (Obuchowski 1997, eq. 5); with one row a patient this is DeLong's estimate.

    Args:
        positive: `(N,)`, both classes.
        scores: K times `(N,)`, high for positive.
        patients: The patient of each row; every row its own if not given.

    Returns:
        AUROCs `(K,)`; covariance `(K, K)`, NaN if only one patient has positive or negative rows; number of patients.

    Raises:
        ScanweaveError: One class only, lengths that differ, or a score that is not finite.
    """
    checked = [checked_outcomes(positive, one) for one in scores]
    truths, values = checked[0][0], np.stack([one for _, one in checked])
    if patients is not None and len(patients) != len(truths):
        reason = f"{len(patients)} for {len(truths)} rows"
        raise ScanweaveError("patients", reason, "Name the patient of every row")
    names = range(len(truths)) if patients is None else patients
    numbers: dict[Hashable, int] = {}
    owner = np.array([numbers.setdefault(name, len(numbers)) for name in names])
    all_ranks = rankdata(values, axis=1)
    aurocs, spreads = [], []
    for side in (truths, ~truths):
        beaten = (all_ranks[:, side] - rankdata(values[:, side], axis=1)) / (~side).sum()
        aurocs.append(beaten.mean(axis=1))
        deviations = (beaten - aurocs[-1][:, None]) / side.sum()
        sums = np.stack([np.bincount(owner[side], row, len(numbers)) for row in deviations])
        spreads.append((sums, len(np.unique(owner[side]))))
    (gains, with_positive), (losses, with_negative) = spreads
    together = gains @ losses.T
    covariance = (
        _unbiased(with_positive) * gains @ gains.T
        + _unbiased(with_negative) * losses @ losses.T
        - _unbiased(len(numbers)) * (together + together.T)
    )
    return aurocs[0], covariance, len(numbers)


def auroc_interval(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    scale: Literal["logit", "plain"] = "logit",
    confidence: float = 0.95,
) -> Interval:
    """Return the AUROC with DeLong's interval.

    Args:
        positive: `(N,)`, both classes.
        scores: `(N,)`, high for positive.
        patients: The patient of each row; every row its own if not given.
        scale: `logit`: the normal interval of log(A / (1 − A)), taken back: stays between 0 and 1 and covers better
            for high AUROCs and few patients (Qin & Hotilovac 2008); `plain`: A ± z · standard error, as most programs.
        confidence: Coverage that is asked for.

    Returns:
        The ends are NaN where the variance is 0 or unknown: the classes do not overlap at all, all scores are equal,
        or one patient alone has a class. Nothing sure can be said then; do not report "1.00 [1.00, 1.00]".

    Raises:
        ScanweaveError: As `aurocs_with_covariance`.
    """
    if scale not in ("logit", "plain"):
        raise ScanweaveError("scale", f"{scale} is unknown", "Choose logit or plain")
    aurocs, covariance, n = aurocs_with_covariance(positive, [scores], patients)
    area, variance = float(aurocs[0]), float(covariance[0, 0])
    reach = norm.ppf((1 + checked_fraction("confidence", confidence)) / 2)
    if not variance > 1e-15:
        return Interval(area, float("nan"), float("nan"), n)
    if scale == "plain":
        low, high = area - reach * np.sqrt(variance), area + reach * np.sqrt(variance)
    else:
        spread = reach * np.sqrt(variance) / (area * (1 - area))
        low, high = expit(logit(area) - spread), expit(logit(area) + spread)
    return Interval(area, float(low), float(high), n)


def compare_aurocs(
    positive: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    aim: Aim | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the AUROCs of two scores of the same rows by the paired test of DeLong et al. (1988).

    Args:
        positive: `(N,)`, both classes.
        first: `(N,)`, high for positive.
        second: `(N,)`, high for positive.
        patients: The patient of each row; every row its own if not given.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval.

    Returns:
        Interval and p are NaN where the difference has no spread (p is 1 if there is no difference either).

    Raises:
        ScanweaveError: As `aurocs_with_covariance`.
    """
    aurocs, covariance, n = aurocs_with_covariance(positive, [first, second], patients)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return wald(float(aurocs[0] - aurocs[1]), variance if variance > 1e-15 else 0.0, n, aim, confidence)


def _unbiased(clusters: int) -> float:
    return clusters / (clusters - 1) if clusters > 1 else float("nan")
