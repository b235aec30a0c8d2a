"""FROC: the share of lesions found against the false marks in an image (Bunch et al. 1977).

Unlike average precision, a second detection of one lesion is neither right nor false: a lesion has the highest score of
the detections on it (CAMELYON16, LUNA16, MONAI).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import interval, patient_counts
from scanweave.measures.detection import BoxesLike, check_images, of_class, pair_iou
from scanweave.measures.input_checks import BoolArray, FloatArray, IntArray, checked_names, reached

Rule = Literal["iou", "centre"]
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False marks an image at which sensitivity is read (LUNA16)."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Hold the scores behind an FROC curve of one class.

    Attributes:
        lesion_scores: Highest score on each true lesion `(L,)`; −inf if it was missed.
        lesion_images: Number of its image `(L,)`.
        false_scores: Score of each false detection `(F,)`.
        false_images: Number of its image `(F,)`.
        images: How many images there are.
    """

    lesion_scores: FloatArray
    lesion_images: IntArray
    false_scores: FloatArray
    false_images: IntArray
    images: int


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Hold an FROC curve, from no marks to all.

    Attributes:
        rates: False marks an image `(K,)`, growing, the first one 0.
        sensitivities: Share of the lesions found `(K,)`.
        thresholds: Score from which marks count `(K,)`; the first one is infinite.
    """

    rates: FloatArray
    sensitivities: FloatArray
    thresholds: FloatArray

    def at(self, rates: Sequence[float] = RATES) -> FloatArray:
        """Return the sensitivity at each rate, between the points by a straight line; beyond the last one its own."""
        return np.interp(rates, self.rates, self.sensitivities)  # of several points at one rate it takes the last


def mark_lesions(
    truths: Sequence[BoxesLike], predictions: Sequence[BoxesLike], name: str, rule: Rule = "iou", least_iou: float = 0.3
) -> Marks:
    """Return the scores on lesions and beside them, of one class.

    Args:
        truths: True boxes of each image; an image without findings has none.
        predictions: Detections in each image, with scores.
        name: Class.
        rule: A detection is on a lesion if their IoU reaches `least_iou` (`iou`), or if its centre lies in the lesion's
            box, edges included (`centre`). It can be on several.
        least_iou: Of the rule `iou`.

    What lies on an ignored box alone is neither right nor false.

    Raises:
        ScanweaveError: An unknown rule, an IoU not above 0 and at most 1, or as `detection.check_images`.
    """
    if rule not in ("iou", "centre"):
        raise ScanweaveError("rule", f"{rule} is unknown", "Choose iou or centre")
    if not 0 < least_iou <= 1:
        raise ScanweaveError("least_iou", f"{least_iou}", "Give an IoU above 0 and at most 1")
    check_images(truths, predictions)
    lesions, beside = [np.zeros(0)], [np.zeros(0)]
    counts: list[tuple[int, int]] = []
    for true, found in zip(truths, predictions, strict=True):
        corners, _, ignored = of_class(true, name)
        boxes, scores, _ = of_class(found, name)
        on = reached(pair_iou(boxes, corners), least_iou) if rule == "iou" else _centres_inside(boxes, corners)
        lesions.append(np.where(on, scores[:, None], -np.inf).max(axis=0, initial=-np.inf)[~ignored])
        beside.append(scores[~on.any(axis=1)])
        counts.append((len(lesions[-1]), len(beside[-1])))
    numbers = np.arange(len(counts))
    owners = [np.repeat(numbers, [pair[side] for pair in counts]) for side in (0, 1)]
    return Marks(np.concatenate(lesions), owners[0], np.concatenate(beside), owners[1], len(counts))


def froc_curve(marks: Marks, weights: IntArray | None = None) -> FrocCurve:
    """Return the FROC curve.

    Args:
        marks: Of one class.
        weights: How often each image counts `(I,)`, as in a resample; once if not given.

    Raises:
        ScanweaveError: There is no image, or no lesion to be found.
    """
    times = np.ones(marks.images, dtype=np.int64) if weights is None else weights
    lesions = int(times[marks.lesion_images].sum())
    if not lesions or not times.sum():
        raise ScanweaveError("truths", "there is no lesion to be found", "Give at least one image with a lesion")
    found = np.isfinite(marks.lesion_scores)
    scores = np.concatenate([marks.lesion_scores[found], marks.false_scores])
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([times[marks.lesion_images[found]], np.zeros(len(marks.false_scores), dtype=np.int64)])
    false = np.concatenate([np.zeros(int(found.sum()), dtype=np.int64), times[marks.false_images]])
    ends = np.append(np.diff(scores[order]) < 0, True)[: len(scores)]  # equal scores come in together
    rates = np.append(0, np.cumsum(false[order])[ends]) / times.sum()
    sensitivities = np.append(0, np.cumsum(hits[order])[ends]) / lesions
    return FrocCurve(rates, sensitivities, np.append(np.inf, scores[order][ends]))


def froc_table(
    marks: Marks, patients: Sequence[Hashable], *, rates: Sequence[float] = RATES, seed: int = 0, repeats: int = 1000
) -> pd.DataFrame:
    """Return the sensitivity at each rate of false marks and their mean (the FROC score), with 95 % intervals.

    Patients are resampled with all their images; resamples without a lesion do not count.

    Args:
        marks: Of one class.
        patients: The patient of each image.
        rates: False marks an image.
        seed: Of the resampling.
        repeats: Number of resamples.

    Returns:
        Rows `measure, rate, value, low, high, patients, images, lesions`; of the mean the rate is NaN.

    Raises:
        ScanweaveError: As `froc_curve`, or an image without a patient.
    """
    people = checked_names("patients", patients, marks.images)
    number = int(people.max(initial=-1)) + 1
    values = froc_curve(marks).at(rates)
    times = [counts[people] for counts in patient_counts(number, repeats, seed)]
    draws = np.array([froc_curve(marks, one).at(rates) for one in times if one[marks.lesion_images].any()])
    rows = []
    for place, rate in enumerate([*rates, float("nan")]):
        mean = place == len(rates)
        value, drawn = (values.mean(), draws.mean(axis=1)) if mean else (values[place], draws[:, place])
        one = interval(float(value), drawn, number)
        found = {"value": one.value, "low": one.low, "high": one.high, "patients": one.n}
        sizes = {"images": marks.images, "lesions": len(marks.lesion_scores)}
        rows.append({"measure": "FROC score" if mean else "sensitivity", "rate": rate, **found, **sizes})
    return pd.DataFrame(rows)


def _centres_inside(boxes: FloatArray, corners: FloatArray) -> BoolArray:
    """Return whether the centre of each box lies in each true one `(N, M)`."""
    centres = boxes.mean(axis=1)[:, None]
    return np.asarray(((centres >= corners[None, :, 0]) & (centres <= corners[None, :, 1])).all(axis=-1))
