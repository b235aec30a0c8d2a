"""JAFROC: the chance that a lesion is rated above the highest false mark of a film (Chakraborty & Berbaum 2004).

The mean over pairs of a film and a lesion of ψ: 1 where the lesion is rated above the film's highest false mark, ½
where both are rated alike, 0 below. What is unmarked has the rating −∞, so a missed lesion beside a film without a
false mark counts ½. A lesion has the highest score of the detections on it. Two variants, by name:

- `JAFROC`: the false marks of normal films only (Chakraborty & Berbaum, Med. Phys. 31(8), 2004). RJafroc calls it
  `AFROC`, earlier `JAFROC`. The default.
- `JAFROC-1`: those of all films, also of those with lesions. RJafroc calls it `AFROC1`, earlier `JAFROC1`, and advises
  it only where no film is normal.

A normal film has no lesion of the class, whatever else it shows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.comparisons import Aim, Comparison, wald
from scanweave.measures.froc import Marks
from scanweave.measures.input_checks import FloatArray, IntArray, checked_names

Variant = Literal["JAFROC", "JAFROC-1"]
VARIANTS: tuple[Variant, ...] = ("JAFROC", "JAFROC-1")
COLUMNS = ("class", "measure", "value", "low", "high", "standard error", "patients", "images", "films", "lesions")
"""Of a `jafroc_table`."""


@dataclass(frozen=True, eq=False)
class JackknifedFigure:
    """Hold a figure of merit and what it would be without each patient.

    Attributes:
        value: The figure of merit.
        pseudovalues: `P·θ − (P − 1)·θ₋ₚ` of each patient `(P,)`; NaN where no lesion or no film would be left.
    """

    value: float
    pseudovalues: FloatArray

    @property
    def standard_error(self) -> float:
        """Standard error over patients; NaN if it is unknown, or if there is no spread at all."""
        variance = _variance(self.pseudovalues)
        return float(np.sqrt(variance)) if variance > 0 else float("nan")

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the figure with Student's interval over patients, cut to 0 to 1.

        Its ends are NaN where the standard error is: of one patient, of a patient who has all lesions or all films that
        count, or where each lesion is rated above every false mark.
        """
        number = len(self.pseudovalues)
        found = wald(self.value, _variance(self.pseudovalues), number, None, confidence, student(max(number - 1, 1)))
        low, high = np.clip([found.difference.low, found.difference.high], 0, 1).tolist()
        return Interval(self.value, low, high, number)


def figure_of_merit(marks: Marks, variant: Variant = "JAFROC") -> float:
    """Return the JAFROC figure of merit of one class, from 0 to 1; a detector that marks nothing has ½.

    Args:
        marks: Of one class, see `froc.mark_lesions`.
        variant: `JAFROC` or `JAFROC-1`, see this module.

    Raises:
        ScanweaveError: There is no lesion, no film that counts, or an unknown variant.
    """
    films, highest = _rated_films(marks, variant)
    return float(_sums(highest, marks.lesion_scores).sum() / (len(films) * len(marks.lesion_scores)))


def jackknifed_figure(marks: Marks, patients: Sequence[Hashable], variant: Variant = "JAFROC") -> JackknifedFigure:
    """Return the figure of merit and its pseudovalues, each patient left out in turn with all films.

    In O(N log N): what a patient adds to the sum over pairs follows from the ranks of all ratings, and the pairs within
    the patient from ranks among the patient's own.

    Args:
        marks: Of one class.
        patients: The patient of each image.
        variant: As in `figure_of_merit`.

    Raises:
        ScanweaveError: As there, or an image without a patient.
    """
    films, highest = _rated_films(marks, variant)
    owner = checked_names("patients", patients, marks.images)
    of_film, of_lesion = owner[films], owner[marks.lesion_images]
    number = int(owner.max()) + 1
    wins = _sums(highest, marks.lesion_scores)
    own_wins = _own_sums(highest, of_film, marks.lesion_scores, of_lesion)
    losses = len(films) - _sums(marks.lesion_scores, highest)  # pairs that a lesion wins
    sums, own, lost = (
        np.bincount(whose, values, number)
        for whose, values in ((of_film, wins), (of_film, own_wins), (of_lesion, losses))
    )
    total = wins.sum()
    pairs = (len(films) - np.bincount(of_film, minlength=number)) * (
        len(of_lesion) - np.bincount(of_lesion, minlength=number)
    )
    left = np.divide(total - sums - lost + own, pairs, out=np.full(number, np.nan), where=pairs > 0)
    value = float(total / (len(films) * len(of_lesion)))
    return JackknifedFigure(value, number * value - (number - 1) * left)


def compare_figures(
    first: Marks,
    second: Marks,
    patients: Sequence[Hashable],
    *,
    variant: Variant = "JAFROC",
    aim: Aim | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the figures of merit of two detectors on the same films by the paired jackknife over patients.

    The difference stands over the standard error of the patients' differences of pseudovalues, with Student's t, as in
    a paired t-test (Dorfman, Berbaum & Metz 1992, for one reader). Adjust the p of several classes by
    `comparisons.holm`.

    Args:
        first: Of one class.
        second: The same films and lesions, marked by another detector.
        patients: The patient of each image.
        variant: As in `figure_of_merit`.
        aim: What is to be shown; by default that they differ.
        confidence: Coverage of the interval.

    Returns:
        The interval is cut to −1 to 1. It and p are NaN where the difference has no spread (p is 1 if there is no
        difference either).

    Raises:
        ScanweaveError: As `jackknifed_figure`, or the films or lesions differ.
    """
    if first.images != second.images or not np.array_equal(first.lesion_images, second.lesion_images):
        raise ScanweaveError("second", "marks of other films or lesions", "Mark the same films by the same truth")
    one, other = (jackknifed_figure(marks, patients, variant) for marks in (first, second))
    variance, number = _variance(one.pseudovalues - other.pseudovalues), len(one.pseudovalues)
    spread = student(max(number - 1, 1))
    return wald(one.value - other.value, variance, number, aim, confidence, spread, limit=1.0)


def jafroc_table(marks: Mapping[str, Marks], patients: Sequence[Hashable], *, confidence: float = 0.95) -> pd.DataFrame:
    """Return both figures of merit of every class, with standard errors and intervals by the jackknife over patients.

    Args:
        marks: Of each class.
        patients: The patient of each image.
        confidence: Coverage of the intervals.

    Returns:
        Rows `class, measure, value, low, high, standard error, patients, images, films, lesions`; the measure is the
        variant, `films` are those whose false marks count. A class without a lesion, or a variant without such a film,
        has no row.

    Raises:
        ScanweaveError: An image without a patient.
    """
    rows = []
    for name, one in marks.items():
        for variant in VARIANTS:
            films = len(_counted_films(one, variant))
            if not films or not len(one.lesion_scores):
                continue
            found = jackknifed_figure(one, patients, variant)
            ends = found.interval(confidence)
            figures = {"value": ends.value, "low": ends.low, "high": ends.high}
            sizes = {"patients": ends.n, "images": one.images, "films": films, "lesions": len(one.lesion_scores)}
            error = {"standard error": found.standard_error}
            rows.append({"class": name, "measure": variant, **figures, **error, **sizes})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _counted_films(marks: Marks, variant: Variant) -> IntArray:
    """Return the numbers of the films whose false marks count."""
    if variant not in VARIANTS:
        raise ScanweaveError("variant", f"{variant} is unknown", f"Choose {' or '.join(VARIANTS)}")
    films = np.arange(marks.images)
    return films if variant == "JAFROC-1" else np.setdiff1d(films, marks.lesion_images)


def _rated_films(marks: Marks, variant: Variant) -> tuple[IntArray, FloatArray]:
    """Return the films whose false marks count, and the highest of each; −∞ without any."""
    films = _counted_films(marks, variant)
    if not len(marks.lesion_scores):
        raise ScanweaveError("truths", "there is no lesion to be found", "Give at least one image with a lesion")
    if not len(films):
        step = "Give images without a lesion, or take JAFROC-1"
        raise ScanweaveError("truths", "every image has a lesion of this class", step)
    highest = np.full(marks.images, -np.inf)
    np.maximum.at(highest, marks.false_images, marks.false_scores)
    return films, highest[films]


def _sums(values: FloatArray, others: FloatArray) -> FloatArray:
    """Return of each value how many of the others lie above it, those alike counted half."""
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray(len(ordered) - (below + upto) / 2, np.float64)


def _own_sums(values: FloatArray, owners: IntArray, others: FloatArray, other_owners: IntArray) -> FloatArray:
    """Return the same among the others of the value's own patient.

    Ranks take the place of values, moved apart by patient, so that one search answers for all patients.
    """
    ranks = np.unique(np.concatenate([values, others]), return_inverse=True)[1]
    levels = len(values) + len(others)
    keys = owners * levels + ranks[: len(values)]
    ordered = np.sort(other_owners * levels + ranks[len(values) :])
    end = np.searchsorted(ordered, (owners + 1) * levels)
    below, upto = (np.searchsorted(ordered, keys, side=side) for side in ("left", "right"))
    return np.asarray(end - (below + upto) / 2, np.float64)


def _variance(pseudovalues: FloatArray) -> float:
    """Return the variance of the mean of pseudovalues; 0 where they differ by rounding only, NaN of one patient."""
    number = len(pseudovalues)
    if number < 2 or np.isnan(pseudovalues).any():
        return float("nan")
    spread = float(pseudovalues.var(ddof=1) / number)
    return spread if spread > 1e-15 else 0.0
