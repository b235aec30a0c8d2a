"""A model at the threshold where it is as specific as a reader, and how sure the difference is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.measures.comparisons import Comparison, wald
from scanweave.measures.input_checks import BoolArray, FloatArray, checked_outcomes
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point


@dataclass(frozen=True)
class MatchedReading:
    """Patients whom a reader and a model have called, and those on whom the model's threshold is matched.

    Attributes:
        positive: `(N,)`, both classes.
        scores: `(N,)` of the model.
        called: `(N,)`, whom the reader calls positive.
        validation: Outcomes and scores `(V,)` of other patients, both classes; None if the threshold is matched on the
            N patients themselves.
    """

    positive: BoolArray
    scores: FloatArray
    called: BoolArray
    validation: tuple[BoolArray, FloatArray] | None = None

    def point(self) -> OperatingPoint:
        """Return the lowest threshold that is at least as specific as the reader is on the N patients."""
        truths, scores = self.validation or (self.positive, self.scores)
        specificity = float((~self.called[~self.positive]).mean())
        if specificity > 0:
            return choose_operating_point(truths, scores, "specificity", specificity)
        return OperatingPoint(-math.inf, "specificity of at least 0", len(checked_outcomes(truths, scores)[0]))

    def compare(self, *, seed: int, repeats: int = 1000, confidence: float = 0.95) -> dict[str, Comparison]:
        """Return sensitivity and specificity of the model − those of the reader, at the matched threshold.

        Patients are resampled within their classes, those of validation too, and the threshold is matched anew each
        time; interval and p are normal, with the variance of the differences found. McNemar's test takes the threshold
        as given, and so calls equals different too often.

        Args:
            seed: Of the resampling.
            repeats: Number of resamples.
            confidence: Coverage of the intervals.

        Returns:
            Ends and p are NaN where the differences never vary (p is 1 if there is no difference either).

        Raises:
            ScanweaveError: Fewer than two resamples.
        """
        if repeats < 2:
            raise ScanweaveError("repeats", f"{repeats}", "Give at least 2; 1000 are common")
        right = (self.point().call(self.scores) == self.positive).astype(float) - (self.called == self.positive)
        spread = np.var(list(self._draws(seed, repeats)), axis=0, ddof=1).tolist()
        sides = {"sensitivity": right[self.positive], "specificity": right[~self.positive]}
        return {
            name: wald(float(side.mean()), variance, len(side), confidence=confidence, limit=1.0)
            for (name, side), variance in zip(sides.items(), spread, strict=True)
        }

    def _draws(self, seed: int, repeats: int) -> Iterator[tuple[float, float]]:
        """Yield the two differences of each resample."""
        rng, sick = np.random.default_rng([seed, len(self.positive)]), self.positive
        sick_scores, sick_called = self.scores[sick], self.called[sick]
        well_scores, well_called = self.scores[~sick], self.called[~sick]
        others = None if self.validation is None else self.validation[1][~self.validation[0]]
        for _ in range(repeats):
            positives = rng.integers(len(sick_scores), size=len(sick_scores))
            negatives = rng.integers(len(well_scores), size=len(well_scores))
            specificity = float((~well_called[negatives]).mean())
            matched = well_scores[negatives] if others is None else rng.choice(others, len(others))
            highest = _highest_negative(matched, specificity)
            sensitivity = (sick_scores[positives] > highest).mean() - sick_called[positives].mean()
            yield float(sensitivity), float((well_scores[negatives] <= highest).mean()) - specificity


def _highest_negative(negatives: FloatArray, specificity: float) -> float:
    """Return the score up to which so many of the negatives must be called negative."""
    count = math.ceil(specificity * len(negatives) - 1e-9)
    return float(np.partition(negatives, count - 1)[count - 1]) if count > 0 else -math.inf
