"""AUROCs and how sure they are, whatever the scores (DeLong et al. 1988), by patient (Obuchowski 1997)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import Aim, Comparison, wald
from scanweave.measures.input_checks import BoolArray, FloatArray, checked_fraction, checked_names, checked_outcomes


@dataclass(frozen=True)
class _Spread:
    """AUROCs `(K,)` and the parts of their covariance `(K, K)`, with the patients behind each."""

    aurocs: FloatArray
    of_positives: FloatArray
    of_negatives: FloatArray
    of_both: FloatArray
    with_positives: int
    with_negatives: int
    patients: int


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
    found = _spread(positive, scores, patients)
    return found.aurocs, found.of_positives + found.of_negatives + found.of_both, found.patients


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
        scale: `logit`: the interval of log(A / (1 − A)), taken back, which stays between 0 and 1, with Student's t in
            place of the normal, its degrees of freedom after Satterthwaite as in Brunner & Munzel (2000), for few
            patients of one class; `plain`: A ± z · standard error, cut to 0 to 1, as pROC and most programs have it,
            which covers too rarely for high AUROCs or few patients.
        confidence: Coverage that is asked for.

    Returns:
        The ends are NaN where the variance is 0 or unknown: the classes do not overlap at all, all scores are equal,
        or one patient alone has a class. Nothing sure can be said then; do not report "1.00 [1.00, 1.00]".

    Raises:
        ScanweaveError: As `aurocs_with_covariance`.
    """
    if scale not in ("logit", "plain"):
        raise ScanweaveError("scale", f"{scale} is unknown", "Choose logit or plain")
    level = (1 + checked_fraction("confidence", confidence)) / 2
    found = _spread(positive, [scores], patients)
    area, n = float(found.aurocs[0]), found.patients
    gains, losses = float(found.of_positives[0, 0]), float(found.of_negatives[0, 0])
    variance = gains + losses + float(found.of_both[0, 0])
    if not variance > 1e-15:
        return Interval(area, float("nan"), float("nan"), n)
    error = np.sqrt(variance)
    if scale == "plain":
        reach = norm.ppf(level) * error
        return Interval(area, max(float(area - reach), 0.0), min(float(area + reach), 1.0), n)
    freedom = (gains + losses) ** 2 / (gains**2 / (found.with_positives - 1) + losses**2 / (found.with_negatives - 1))
    reach = student.ppf(level, freedom) * error / (area * (1 - area))
    return Interval(area, float(expit(logit(area) - reach)), float(expit(logit(area) + reach)), n)


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
        The interval is cut to −1 to 1. It and p are NaN where the difference has no spread (p is 1 if there is no
        difference either).

    Raises:
        ScanweaveError: As `aurocs_with_covariance`.
    """
    aurocs, covariance, n = aurocs_with_covariance(positive, [first, second], patients)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return wald(float(aurocs[0] - aurocs[1]), variance if variance > 1e-15 else 0.0, n, aim, confidence, limit=1.0)


def _spread(positive: ArrayLike, scores: Sequence[ArrayLike], patients: Sequence[Hashable] | None) -> _Spread:
    checked = [checked_outcomes(positive, one) for one in scores]
    truths, values = checked[0][0], np.stack([one for _, one in checked])
    owner = np.arange(len(truths)) if patients is None else checked_names("patients", patients, len(truths))
    count = int(owner.max()) + 1
    all_ranks = rankdata(values, axis=1)

    def sums(side: BoolArray) -> tuple[FloatArray, FloatArray, int]:
        """Return what share of the other class rows of this one beat, its deviations by patient, and their number."""
        beaten = (all_ranks[:, side] - rankdata(values[:, side], axis=1)) / (~side).sum()
        deviations = (beaten - beaten.mean(axis=1, keepdims=True)) / side.sum()
        of_patients = np.array([np.bincount(owner[side], row, count) for row in deviations], dtype=np.float64)
        return beaten.mean(axis=1), of_patients, len(np.unique(owner[side]))

    (aurocs, gains, with_positives), (_, losses, with_negatives) = sums(truths), sums(~truths)
    together = gains @ losses.T
    return _Spread(
        aurocs,
        _unbiased(with_positives) * gains @ gains.T,
        _unbiased(with_negatives) * losses @ losses.T,
        -_unbiased(count) * (together + together.T),
        with_positives,
        with_negatives,
        count,
    )


def _unbiased(clusters: int) -> float:
    return clusters / (clusters - 1) if clusters > 1 else float("nan")
