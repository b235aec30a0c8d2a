"""Biopsies that a model would have spared, and the cancers that it would have missed.

The threshold is chosen on validation patients, and all that is reported comes from test patients who all had a biopsy,
such as those of BI-RADS 4. Whoever scores below it is spared.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.decision_curve import NetBenefit, decision_curve
from scanweave.measures.input_checks import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_names,
    checked_scores,
    checked_truths,
)
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point
from scanweave.measures.proportions import proportion

Unit = Literal["patient", "study"]
TARGETS = (1.0, 0.99, 0.98)
"""Shares of the cancers that are to be kept on validation; below 0.98 nobody would spare a biopsy."""
RISKS = (0.02, 0.05, 0.1)
"""Risks of cancer from which on one would biopsy: BI-RADS 4A begins at 2 %, 4B at 10 % (ACR atlas, 5th edition)."""


@dataclass(frozen=True)
class ScoredStudies:
    """Studies whose biopsy is known, with the score of the model.

    Attributes:
        positive: `(N,)`, whether the biopsy found cancer.
        scores: `(N,)`, high for cancer.
        patients: The patient of each study; every study its own if None.
    """

    positive: ArrayLike
    scores: ArrayLike
    patients: Sequence[Hashable] | None = None


@dataclass(frozen=True)
class BiopsySparing:
    """Result on test of sparing the biopsies below one threshold. Units are patients or studies, as `unit` says.

    Shares have exact intervals (Clopper & Pearson 1934), which cover at least as often as they say. Where the units are
    studies and patients have several, these do not hold and their ends are NaN. `n` counts units.

    Attributes:
        target: Sensitivity that the threshold was to keep on validation.
        point: The frozen threshold; its `rows` are the units of validation.
        on_validation: Sensitivity that it has there; its `n` are the cancers that it was chosen on. With fewer than
            1 / (1 − target) of them the target is the same as 1.
        unit: What is counted.
        spared: Spared units, of all.
        spared_benign: Spared benign units, of the benign (the specificity).
        missed: Spared cancers, of the cancers.
        missed_count: Spared cancers.
        missed_at_most: Upper bound of `missed`, exact and one-sided; NaN where the intervals are.
        npv: Benign units, of the spared; NaN where none is spared.
        sensitivity: Cancers that are not spared, of the cancers.
        net_benefits: At each risk, of a biopsy for those who are not spared; `against_all` is what it gains on a biopsy
            for everyone, with the interval over patients.
    """

    target: float
    point: OperatingPoint
    on_validation: Interval
    unit: Unit
    spared: Interval
    spared_benign: Interval
    missed: Interval
    missed_count: int
    missed_at_most: float
    npv: Interval
    sensitivity: Interval
    net_benefits: tuple[NetBenefit, ...]


@dataclass(frozen=True)
class _Units:
    positive: BoolArray
    scores: FloatArray
    patients: IntArray

    @property
    def alone(self) -> bool:
        return int(self.patients.max()) + 1 == len(self.patients)


def biopsy_sparing(
    validation: ScoredStudies,
    test: ScoredStudies,
    unit: Unit = "patient",
    *,
    targets: Sequence[float] = TARGETS,
    risks: Sequence[float] = RISKS,
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> tuple[BiopsySparing, ...]:
    """Choose a threshold for each target on validation, and return what sparing below it does on test.

    Args:
        validation: The threshold is the highest that keeps the target here.
        test: Other patients, so none of the names of those of validation.
        unit: `patient`: one with several studies counts once, has cancer if one of them has, and is spared only if all
            are (so its score is the highest); `study`: each counts.
        targets: Sensitivities to keep on validation, above 0, at most 1.
        risks: Of cancer, above 0 and below 1, at which net benefits are taken.
        seed: Of the resampling of patients for the net benefits.
        repeats: Number of resamples.
        confidence: Coverage of each interval and of `missed_at_most`, above 0.5.

    Raises:
        ScanweaveError: Studies of one class only, a patient of validation in test, a score that is not finite, lengths
            that differ, or an option that cannot be.
    """
    if unit not in ("patient", "study"):
        raise ScanweaveError("unit", f"{unit} is unknown", "Choose patient or study")
    before, after = _units("validation", validation, unit), _units("test", test, unit)
    _check_apart(validation, test)
    found = []
    for target in targets:
        point = choose_operating_point(before.positive, before.scores, "sensitivity", target)
        called = point.call(after.scores)
        net_benefits = decision_curve(
            after.positive,
            called.astype(np.float64),  # a call is a probability of 0 or 1: the same patients are treated at every risk
            after.patients.tolist(),
            risks,
            seed=seed,
            repeats=repeats,
            confidence=confidence,
        )
        kept = _share(point.call(before.scores)[before.positive], before.alone, confidence)
        found.append(_sparing(target, point, kept, unit, after, called, net_benefits, confidence))
    return tuple(found)


def _sparing(
    target: float,
    point: OperatingPoint,
    on_validation: Interval,
    unit: Unit,
    units: _Units,
    called: BoolArray,
    net_benefits: tuple[NetBenefit, ...],
    confidence: float,
) -> BiopsySparing:
    cancer, alone = units.positive, units.alone
    missed = ~called[cancer]
    bound = _share(missed, alone, 2 * confidence - 1)
    return BiopsySparing(
        target=target,
        point=point,
        on_validation=on_validation,
        unit=unit,
        spared=_share(~called, alone, confidence),
        spared_benign=_share(~called[~cancer], alone, confidence),
        missed=_share(missed, alone, confidence),
        missed_count=int(missed.sum()),
        missed_at_most=bound.high,
        npv=_share(~cancer[~called], alone, confidence),
        sensitivity=_share(~missed, alone, confidence),
        net_benefits=net_benefits,
    )


def _share(hits: BoolArray, alone: bool, confidence: float) -> Interval:
    found = proportion(int(hits.sum()), len(hits), "clopper-pearson", confidence)
    return found if alone else Interval(found.value, math.nan, math.nan, found.n)


def _check_apart(validation: ScoredStudies, test: ScoredStudies) -> None:
    before, after = (set(() if studies.patients is None else studies.patients) for studies in (validation, test))
    if both := before & after:
        reason = f"{len(both)} are in validation, too"
        raise ScanweaveError("test: patients", reason, "Give each patient to one of them")


def _units(name: str, studies: ScoredStudies, unit: Unit) -> _Units:
    """Return the checked units of validation or test."""
    truths = checked_truths(f"{name}: positive", studies.positive)
    if truths.all() or not truths.any():
        kind = "positive" if truths.all() else "negative"
        raise ScanweaveError(f"{name}: positive", f"every study is {kind}", "Give studies with cancer and without")
    scores = checked_scores(f"{name}: scores", studies.scores, len(truths))
    if studies.patients is None:
        return _Units(truths, scores, np.arange(len(truths)))
    owner = checked_names(f"{name}: patients", studies.patients, len(truths))
    if unit == "study":
        return _Units(truths, scores, owner)
    count = int(owner.max()) + 1
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, owner, scores)
    positive = np.asarray(np.bincount(owner, truths, count) > 0)
    if positive.all():
        raise ScanweaveError(f"{name}: positive", "every patient has cancer", "Give patients without it, too")
    return _Units(positive, highest, np.arange(count))
