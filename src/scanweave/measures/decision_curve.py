"""Net benefit of deciding by a model, against treating everyone and treating no one (Vickers & Elkin 2006)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, bootstrap_means
from scanweave.measures.input_checks import (
    BoolArray,
    FloatArray,
    checked_numbers,
    checked_shares,
    checked_truths,
    reached,
)

PERCENTS = tuple(percent / 100 for percent in range(1, 100))


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit of decisions at one threshold, in true positives a patient; that of treating no one is 0.

    Attributes:
        threshold: Probability from which on one would treat: t / (1 − t) is what one false positive costs, in true
            positives.
        model: Treating those whose probability reaches it.
        treat_all: Treating everyone.
        gain: Model − the better of treating everyone and no one, on all patients.
        against_all: Model − treating everyone.
    """

    threshold: float
    model: Interval
    treat_all: Interval
    gain: Interval
    against_all: Interval


def net_benefit(positive: ArrayLike, probabilities: ArrayLike, threshold: float) -> float:
    """Return true positives / N − false positives / N · t / (1 − t) of treating from probability t on.

    Args:
        positive: `(N,)`.
        probabilities: `(N,)` of being positive, calibrated: the threshold is a probability.
        threshold: t, above 0 and below 1.

    Raises:
        ScanweaveError: Lengths differ, or a probability or threshold out of range.
    """
    truths = checked_truths("positive", positive)
    shares = checked_shares("probabilities", probabilities, len(truths))
    return float((_worth(truths, _checked_thresholds([threshold])) * reached(shares, threshold)[:, None]).mean())


def decision_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[Hashable],
    thresholds: Sequence[float] = PERCENTS,
    *,
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> tuple[NetBenefit, ...]:
    """Return the net benefit at each threshold, with intervals by patient, point by point.

    Args:
        positive: `(N,)`.
        probabilities: `(N,)` of being positive, calibrated: the threshold is a probability.
        patients: The patient of each row.
        thresholds: Above 0 and below 1. Report those that people would choose, not all.
        seed: Seed of the resampling; all thresholds share the resamples.
        repeats: Number of resamples.
        confidence: Coverage of each interval.

    Raises:
        ScanweaveError: Lengths differ, or a probability or threshold out of range.
    """
    truths = checked_truths("positive", positive)
    shares = checked_shares("probabilities", probabilities, len(truths))
    levels = _checked_thresholds(thresholds)
    treat_all = _worth(truths, levels)
    model = treat_all * reached(shares[:, None], levels)
    gain = model - np.where(treat_all.mean(axis=0) > 0, treat_all, 0)
    found = bootstrap_means(
        np.concatenate([model, treat_all, gain, model - treat_all], axis=1),
        patients,
        seed=seed,
        repeats=repeats,
        confidence=confidence,
    )
    count = len(levels)
    return tuple(NetBenefit(level, *found[place::count]) for place, level in enumerate(levels.tolist()))


def _worth(truths: BoolArray, levels: FloatArray) -> FloatArray:
    """Return what treating each row is worth at each threshold, `(N, T)`."""
    return np.where(truths[:, None], 1.0, -levels / (1 - levels))


def _checked_thresholds(thresholds: Sequence[float]) -> FloatArray:
    levels = checked_numbers("thresholds", thresholds)
    if levels.ndim != 1 or levels.size == 0 or not ((levels > 0) & (levels < 1)).all():
        raise ScanweaveError("thresholds", "not all lie between 0 and 1", "Give probabilities such as 0.05")
    return levels
