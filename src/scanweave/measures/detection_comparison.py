"""Two detectors on the same images: average precision at IoU 0.5 and the JAFROC figure of merit, class by class."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval, interval, patient_counts
from scanweave.measures.comparisons import Comparison, Different
from scanweave.measures.detection import BoxesLike, average_precision, match_boxes
from scanweave.measures.froc import Marks, mark_lesions
from scanweave.measures.input_checks import FloatArray, IntArray, checked_names
from scanweave.measures.jafroc import VARIANTS, Variant, compare_figures, figure_of_merit
from scanweave.measures.paired_calls import comparison_columns, with_holm

IOU = 0.5
"""Overlap from which a detection is right, in AP50."""


def compare_detections(
    truths: Sequence[BoxesLike],
    first: Sequence[BoxesLike],
    second: Sequence[BoxesLike],
    patients: Sequence[Hashable],
    classes: Sequence[str],
    *,
    seed: int = 0,
    repeats: int = 1000,
) -> pd.DataFrame:
    """Compare two detectors on the same images; differences are first − second.

    AP50 by resampling patients, both detectors on the same resamples; its p is twice the smaller share of resamples on
    either side of no difference (Davison & Hinkley 1997, §4.4.1), so never below 2 / (repeats + 1). JAFROC and JAFROC-1
    by the paired jackknife, see `jafroc.compare_figures`. Each kind of p is adjusted after Holm over the classes.

    Args:
        truths: True boxes of each image; an image without findings has none.
        first: Detections of the first in each image.
        second: Those of the second.
        patients: The patient of each image.
        classes: Names; those without a true box have no row.
        seed: Of the resampling.
        repeats: Number of resamples.

    Returns:
        Rows `class, patients, images, lesions`, and of AP50, JAFROC and JAFROC-1 each `first …`, `second …`, the
        difference with its 95 % interval, p and p Holm. JAFROC is NaN where every image has a lesion of the class.

    Raises:
        ScanweaveError: As `detection.match_boxes`, no class has a true box, or an image without a patient.
    """
    people = checked_names("patients", patients, len(truths))
    counts = patient_counts(int(people.max(initial=-1)) + 1, repeats, seed)
    rows = []
    for name in classes:
        marks = [mark_lesions(truths, found, name) for found in (first, second)]
        if not len(marks[0].lesion_scores):
            continue
        sizes = {"patients": counts.shape[1], "images": len(truths), "lesions": len(marks[0].lesion_scores)}
        precision = _precision(name, truths, first, second, people, counts)
        figures = [_figures(marks[0], marks[1], patients, variant) for variant in VARIANTS]
        rows.append({"class": name, **sizes, **precision, **figures[0], **figures[1]})
    if not rows:
        raise ScanweaveError("classes", "none of them has a true box", "Compare on images with lesions")
    return with_holm(pd.DataFrame(rows))


def _precision(
    name: str,
    truths: Sequence[BoxesLike],
    first: Sequence[BoxesLike],
    second: Sequence[BoxesLike],
    people: IntArray,
    counts: IntArray,
) -> dict[str, float]:
    matches = [match_boxes(truths, found, (IOU,))[name] for found in (first, second)]
    values = [float(average_precision(one)[0]) for one in matches]
    weights = [row[people] for row in counts]
    draws = np.array([[average_precision(one, weight)[0] for one in matches] for weight in weights])
    apart = draws[~np.isnan(draws).any(axis=1)]
    differences = apart[:, 0] - apart[:, 1] if len(apart) else np.full(1, np.nan)
    found = interval(values[0] - values[1], differences, counts.shape[1])
    columns = {"first AP50": values[0], "second AP50": values[1]}
    return columns | comparison_columns("AP50", Comparison(found, _sided(differences), Different()))


def _figures(first: Marks, second: Marks, patients: Sequence[Hashable], variant: Variant) -> dict[str, float]:
    if variant == "JAFROC" and len(np.unique(first.lesion_images)) == first.images:
        values, nothing = (float("nan"), float("nan")), float("nan")
        found = Comparison(Interval(nothing, nothing, nothing, 0), nothing, Different())
    else:
        values = figure_of_merit(first, variant), figure_of_merit(second, variant)
        found = compare_figures(first, second, patients, variant=variant)
    return {f"first {variant}": values[0], f"second {variant}": values[1], **comparison_columns(variant, found)}


def _sided(differences: FloatArray) -> float:
    """Return twice the smaller share of resamples on either side of 0, the estimate counted as one of them."""
    if np.isnan(differences).any():
        return float("nan")
    least = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (1 + least) / (1 + len(differences)))
