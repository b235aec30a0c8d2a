"""Average precision of boxes in films and volumes, by COCO's rule, with intervals over patients.

Detections of a class are taken from the highest score down; each gets the free true box of its image with the highest
IoU, if that reaches the threshold, and is false otherwise: a second box on one lesion is false (Lin et al. 2014;
pycocotools, to whose figures these are equal in a plane).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import interval, patient_counts
from scanweave.measures.input_checks import BoolArray, FloatArray, IntArray, checked_names

COCO_IOU: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoU thresholds of COCO's AP, as pycocotools computes them: a rounding apart can change a match."""
LEVELS: dict[str, tuple[float, ...]] = {"AP30": (0.3,), "AP50": (0.5,), "AP": COCO_IOU}
"""Measures by the IoU thresholds over which they are means."""
RECALL_LEVELS = np.linspace(0, 1, 101)
MOST_DETECTIONS = 100
"""Of a class in an image; the others, of lower scores, are left out (COCO)."""
MEAN = "mean"
"""Name of the row over classes."""


class BoxesLike(Protocol):
    """Interface of the boxes of one image, as far as they are read here.

    Attributes:
        corners: `(N, 2, D)`, start and stop of each box along D axes.
        labels: Class names, N.
        scores: `(N,)` of detections; None: truth.
        ignored: `(N,)`, true boxes that need not be found and are not false when found; None: no box is.
    """

    @property
    def corners(self) -> NDArray[np.float64]:
        """Start and stop of each box along D axes, `(N, 2, D)`."""

    @property
    def labels(self) -> Sequence[str]:
        """Class name of each box."""

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """Scores of predictions `(N,)`; None: truth."""

    @property
    def ignored(self) -> NDArray[np.bool_] | None:
        """True boxes that need not be found, `(N,)`; None: no box is."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Hold what became of the detections of one class, from the highest score down.

    Attributes:
        images: Number of the image of each detection `(D,)`.
        scores: `(D,)`.
        hit: Whether each is right at each threshold `(T, D)`.
        ignored: Whether it lies on an ignored box instead `(T, D)`.
        truths: True boxes to be found in each image `(I,)`.
    """

    images: IntArray
    scores: FloatArray
    hit: BoolArray
    ignored: BoolArray
    truths: IntArray


def match_boxes(
    truths: Sequence[BoxesLike],
    predictions: Sequence[BoxesLike],
    thresholds: Sequence[float] = COCO_IOU,
    most: int = MOST_DETECTIONS,
) -> dict[str, Matches]:
    """Return for every class which detections are right.

    Args:
        truths: True boxes of each image; an image without findings has none.
        predictions: Detections in each image, with scores.
        thresholds: IoU to be reached, T of them. On an ignored box what counts is the share of the detection in it, and
            it may hold many detections (COCO's crowds).
        most: Detections of a class in an image, at most.

    Raises:
        ScanweaveError: The numbers of images differ, detections have no finite scores, axes differ, or a threshold does
            not lie above 0 and at most at 1.
    """
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise ScanweaveError("thresholds", f"{list(thresholds)}", "Give IoUs above 0 and at most 1")
    check_images(truths, predictions)
    classes = sorted({label for boxes in (*truths, *predictions) for label in boxes.labels})
    return {name: _class_matches(name, truths, predictions, np.array(thresholds), most) for name in classes}


def average_precision(matches: Matches, weights: NDArray[np.int64] | None = None) -> FloatArray:
    """Return the average precision at each threshold `(T,)`, NaN if there is nothing to be found.

    Mean over 101 recalls 0, 0.01, … 1 of the highest precision at that recall or beyond (COCO).

    Args:
        matches: Of one class.
        weights: How often each image counts `(I,)`, as in a resample; once if not given.
    """
    times = np.ones(len(matches.truths), dtype=np.int64) if weights is None else weights
    number = float(times @ matches.truths)
    if number == 0:
        return np.full(len(matches.hit), np.nan)
    each = times[matches.images]
    right = np.cumsum(matches.hit * each, axis=1)
    wrong = np.cumsum((~matches.hit & ~matches.ignored) * each, axis=1)
    precision = right / np.maximum(right + wrong, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.pad(best, ((0, 0), (0, 1)))  # recalls that are never reached have precision 0
    places = [np.searchsorted(row, RECALL_LEVELS, side="left") for row in right / number]
    return np.array([row[place].mean() for row, place in zip(best, places, strict=True)])


def detection_table(
    truths: Sequence[BoxesLike],
    predictions: Sequence[BoxesLike],
    patients: Sequence[Hashable],
    *,
    seed: int = 0,
    repeats: int = 1000,
    most: int = MOST_DETECTIONS,
) -> pd.DataFrame:
    """Return AP at IoU 0.3, at 0.5 and over 0.5:0.95 of every class and of their mean, with 95 % intervals.

    Patients are resampled with all their images. Resamples in which a class has no true box do not count for it; the
    mean is over the classes that have one.

    Args:
        truths: True boxes of each image.
        predictions: Detections in each image.
        patients: The patient of each image.
        seed: Of the resampling.
        repeats: Number of resamples.
        most: Detections of a class in an image, at most.

    Returns:
        Rows `class, measure, value, low, high, patients, images, boxes, detections`; of a class without a true box the
        value is NaN.

    Raises:
        ScanweaveError: As `match_boxes`, or an image without a patient.
    """
    thresholds = sorted({threshold for levels in LEVELS.values() for threshold in levels})
    matches = match_boxes(truths, predictions, thresholds, most)
    people = checked_names("patients", patients, len(truths))
    number = int(people.max(initial=-1)) + 1
    rows = {name: [thresholds.index(level) for level in levels] for name, levels in LEVELS.items()}

    def measured(weights: IntArray | None) -> FloatArray:
        """Return `(classes + 1, measures)`."""
        found = np.array([average_precision(one, weights) for one in matches.values()])
        each = np.array([found[:, places].mean(axis=1) for places in rows.values()]).T
        return np.vstack([each, _known_mean(each)])

    if not matches:
        raise ScanweaveError("boxes", "there is neither a true box nor a detection", "Give at least one")
    values = measured(None)
    draws = np.array([measured(counts[people]) for counts in patient_counts(number, repeats, seed)])
    lines = []
    for row, name in enumerate([*matches, MEAN]):
        ones = list(matches.values()) if name == MEAN else [matches[name]]
        sizes = {"images": len(truths), "boxes": sum(int(one.truths.sum()) for one in ones)}
        sizes["detections"] = sum(len(one.scores) for one in ones)
        for column, measure in enumerate(rows):
            drawn = draws[:, row, column]
            drawn = drawn[~np.isnan(drawn)]
            one = interval(values[row, column], drawn if drawn.size else np.full(1, np.nan), number)
            found = {"value": one.value, "low": one.low, "high": one.high, "patients": one.n}
            lines.append({"class": name, "measure": measure, **found, **sizes})
    return pd.DataFrame(lines)


def pair_iou(first: FloatArray, second: FloatArray, crowd: BoolArray | None = None) -> FloatArray:
    """Return the intersection over union of boxes `(N, 2, D)` and `(M, 2, D)` as `(N, M)`; 0 of boxes without extent.

    Args:
        first: Boxes.
        second: Boxes.
        crowd: `(M,)`, boxes of `second` for which the share of the first one inside is taken instead.
    """
    start = np.maximum(first[:, None, 0], second[None, :, 0])
    stop = np.minimum(first[:, None, 1], second[None, :, 1])
    common = np.clip(stop - start, 0, None).prod(axis=-1)
    own, other = ((boxes[:, 1] - boxes[:, 0]).prod(axis=-1) for boxes in (first, second))
    union = own[:, None] + other[None] - common
    if crowd is not None:
        union = np.where(crowd[None], own[:, None], union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def check_images(truths: Sequence[BoxesLike], predictions: Sequence[BoxesLike]) -> None:
    """Check that true boxes and detections are of the same images.

    Raises:
        ScanweaveError: Their numbers differ, detections have no finite scores, or the axes differ.
    """
    if len(truths) != len(predictions):
        reason = f"{len(predictions)} images for {len(truths)}"
        raise ScanweaveError("predictions", reason, "Give those of every image, also where nothing was found")
    for number, boxes in enumerate(predictions):
        if len(boxes.labels) and (boxes.scores is None or not np.isfinite(boxes.scores).all()):
            raise ScanweaveError(f"image {number}", "detections without finite scores", "Give a score for each box")
    axes = {boxes.corners.shape[2] for boxes in (*truths, *predictions) if len(boxes.labels)}
    if len(axes) > 1:
        raise ScanweaveError("boxes", "some are of a plane, some of a volume", "Give boxes of one kind")


def of_class(boxes: BoxesLike, name: str) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return the corners `(N, 2, D)`, scores `(N,)` and marks `ignored (N,)` of one class."""
    mine = np.array([label == name for label in boxes.labels], dtype=bool)
    scores = np.zeros(len(mine)) if boxes.scores is None else boxes.scores
    ignored = np.zeros(len(mine), dtype=bool) if boxes.ignored is None else boxes.ignored
    return boxes.corners[mine], np.asarray(scores, np.float64)[mine], np.asarray(ignored, bool)[mine]


def _class_matches(
    name: str, truths: Sequence[BoxesLike], predictions: Sequence[BoxesLike], thresholds: FloatArray, most: int
) -> Matches:
    parts = list(_image_matches(name, truths, predictions, thresholds, most))
    scores = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0)
    order = np.argsort(-scores, kind="stable")  # equal scores stay in the order of images, as in pycocotools
    empty = np.zeros((len(thresholds), 0), dtype=bool)
    hit, ignored = (np.concatenate([empty, *(part[place] for part in parts)], axis=1)[:, order] for place in (1, 2))
    images = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])[order]
    return Matches(images, scores[order], hit, ignored, np.array([part[3] for part in parts], dtype=np.int64))


def _image_matches(
    name: str, truths: Sequence[BoxesLike], predictions: Sequence[BoxesLike], thresholds: FloatArray, most: int
) -> Iterator[tuple[FloatArray, BoolArray, BoolArray, int]]:
    for true, found in zip(truths, predictions, strict=True):
        corners, _, ignored = of_class(true, name)
        order = np.argsort(ignored, kind="stable")
        corners, ignored = corners[order], ignored[order]
        boxes, scores, _ = of_class(found, name)
        best = np.argsort(-scores, kind="stable")[:most]
        hit, aside = _assigned(pair_iou(boxes[best], corners, ignored), ignored, thresholds)
        yield scores[best], hit, aside, int((~ignored).sum())


def _assigned(iou: FloatArray, ignored: BoolArray, thresholds: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return which detections are right and which on ignored boxes `(T, D)`; IoU `(D, G)`, ignored boxes come last."""
    hit, aside = (np.zeros((len(thresholds), len(iou)), dtype=bool) for _ in range(2))
    if not iou.size:
        return hit, aside
    for level, threshold in enumerate(np.minimum(thresholds, 1 - 1e-10)):
        free = ~ignored
        for row, overlaps in enumerate(iou):
            place = _last_best(np.where(free, overlaps, -1.0))
            if overlaps[place] >= threshold and free[place]:
                hit[level, row], free[place] = True, False
            else:
                aside[level, row] = bool((overlaps[ignored] >= threshold).any())
    return hit, aside


def _last_best(values: FloatArray) -> int:
    """Return the place of the largest value; the last one of equals, as pycocotools takes it."""
    return len(values) - 1 - int(values[::-1].argmax())


def _known_mean(values: FloatArray) -> FloatArray:
    """Return the mean of each column without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, number, out=np.full(values.shape[1], np.nan), where=number > 0)
