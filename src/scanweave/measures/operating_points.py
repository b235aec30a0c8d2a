"""A threshold that is chosen on validation patients, frozen, and then applied to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, roc_curve

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.input_checks import (
    BoolArray,
    FloatArray,
    checked_fraction,
    checked_numbers,
    checked_outcomes,
    checked_truths,
    reached,
)
from scanweave.measures.proportions import Method, proportion

Rule = Literal["youden", "sensitivity", "specificity"]


@dataclass(frozen=True)
class Confusion:
    """Counts of how rows that were called positive or negative turned out.

    Attributes:
        true_positives: Called positive, and positive.
        false_positives: Called positive, but negative.
        true_negatives: Called negative, and negative.
        false_negatives: Called negative, but positive.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    def rates(self, method: Method = "wilson", confidence: float = 0.95) -> dict[str, Interval]:
        """Return sensitivity, specificity, ppv, npv and accuracy, each with its interval and its own n.

        The intervals take every row for a patient; with several rows a patient use `bootstrap_measure`. A rate of
        nothing (the ppv where nothing was called positive) is NaN.
        """
        right, wrong = self.true_positives + self.true_negatives, self.false_positives + self.false_negatives
        counts = {
            "sensitivity": (self.true_positives, self.true_positives + self.false_negatives),
            "specificity": (self.true_negatives, self.true_negatives + self.false_positives),
            "ppv": (self.true_positives, self.true_positives + self.false_positives),
            "npv": (self.true_negatives, self.true_negatives + self.false_negatives),
            "accuracy": (right, right + wrong),
        }
        return {name: proportion(*count, method=method, confidence=confidence) for name, count in counts.items()}


@dataclass(frozen=True)
class OperatingPoint:
    """A frozen threshold: a row is called positive if its score is at least as high.

    Attributes:
        threshold: In units of the score.
        rule: How it was chosen, in words.
        rows: Number of validation rows that it was chosen on.
    """

    threshold: float
    rule: str
    rows: int

    def call(self, scores: ArrayLike) -> BoolArray:
        """Return which rows `(N,)` are called positive.

        Raises:
            ScanweaveError: A score is NaN.
        """
        values = checked_numbers("scores", scores)
        if np.isnan(values).any():
            raise ScanweaveError("scores", "it holds NaN", "A row without a score cannot be called: leave it out")
        called: BoolArray = values >= self.threshold
        return called

    def confusion(self, positive: ArrayLike, scores: ArrayLike) -> Confusion:
        """Return how the calls of rows `(N,)` turned out; one class alone is enough here.

        Raises:
            ScanweaveError: Lengths differ, or a score is NaN.
        """
        truths, called = checked_truths("positive", positive), self.call(scores)
        if called.shape != truths.shape:
            raise ScanweaveError("scores", f"of shape {called.shape} for {len(truths)} rows", "Give one score a row")
        tn, fp, fn, tp = confusion_matrix(truths, called, labels=[False, True]).ravel().tolist()
        return Confusion(tp, fp, tn, fn)


def choose_operating_point(
    positive: ArrayLike, scores: ArrayLike, rule: Rule = "youden", target: float | None = None
) -> OperatingPoint:
    """Choose a threshold on validation rows. Never choose it on the rows that are reported.

    Args:
        positive: `(N,)` outcomes of the validation rows.
        scores: `(N,)`, high for positive.
        rule: `youden`: highest sensitivity + specificity − 1, the highest such threshold; `sensitivity`: the highest
            threshold that reaches `target` sensitivity; `specificity`: the lowest that reaches `target` specificity.
        target: Share above 0, at most 1, for the latter two.

    Returns:
        The frozen threshold; one of the scores, or just above the highest if nothing is to be called positive.

    Raises:
        ScanweaveError: One class only, a score that is not finite, or a rule and a target that do not fit.
    """
    truths, values = checked_outcomes(positive, scores)
    false_positive, sensitivity, thresholds = roc_curve(truths, values, drop_intermediate=False)
    thresholds[0] = np.nextafter(values.max(), np.inf)
    place, words = _place(rule, target, sensitivity, 1 - false_positive)
    return OperatingPoint(float(thresholds[place]), words, len(truths))


def _place(rule: Rule, target: float | None, sensitivity: FloatArray, specificity: FloatArray) -> tuple[int, str]:
    """Return which threshold, of those from high to low, follows the rule, and the rule in words.

    Rates are shares of whole patients: what differs by rounding only, as 1 − 5/12 from 7/12, is equal.
    """
    if rule == "youden":
        if target is not None:
            raise ScanweaveError("target", "the rule youden has none", "Leave it out, or choose another rule")
        return int(np.argmax((sensitivity + specificity).round(12))), "highest Youden index"
    if rule not in ("sensitivity", "specificity"):
        raise ScanweaveError("rule", f"{rule} is unknown", "Choose youden, sensitivity or specificity")
    if target is None:
        raise ScanweaveError("target", f"the rule {rule} needs one", "Give a share such as 0.95")
    if target != 1:
        checked_fraction("target", target)
    words = f"{rule} of at least {target:g}"
    if rule == "sensitivity":
        return int(np.argmax(reached(sensitivity, target))), words
    return int(np.flatnonzero(reached(specificity, target))[-1]), words
