"""Scores from which boxes are reported, chosen on validation films and frozen: `box_points.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scanweave.measures.detection import Matches, match_boxes
from scanweave.measures.operating_points import OperatingPoint
from scanweave.studies.boxes import Boxes
from scanweave.systems.detect.inference import Reading
from scanweave.systems.detect.truth import FilmTruth

FILE = "box_points.json"
IOU = 0.5
"""From which a box is right."""
HALF = OperatingPoint(0.5, "one half, since no validation film decides", 0)
RULE = "highest F1 of its boxes"


def choose_box_points(
    truths: Sequence[FilmTruth], readings: Sequence[Reading], classes: Sequence[str]
) -> dict[str, OperatingPoint]:
    """Return for each class the score with the highest F1 of its boxes at IoU 0.5; one half where none is right.

    Args:
        truths: Of validation films; those whose boxes are not all there take no part.
        readings: What was found in each, with all scores.
        classes: Names.
    """
    pairs = [(truth.boxes, read.boxes) for truth, read in zip(truths, readings, strict=True) if truth.is_complete]
    matches = match_boxes([drawn for drawn, _ in pairs], [found for _, found in pairs], (IOU,))
    return {name: _chosen(matches[name]) if name in matches else HALF for name in classes}


def _chosen(matches: Matches) -> OperatingPoint:
    right, wrong = matches.hit[0], ~matches.hit[0] & ~matches.ignored[0]
    score = 2 * right.cumsum() / (right.cumsum() + wrong.cumsum() + matches.truths.sum() + 1e-12)
    if not right.any():
        return HALF
    last = np.append(np.diff(matches.scores) < 0, True)  # equal scores come in together
    best = int(np.where(last, score, -1.0).argmax())
    return OperatingPoint(float(matches.scores[best]), RULE, len(matches.truths))


def reported(boxes: Boxes, points: Mapping[str, OperatingPoint]) -> Boxes:
    """Return the boxes whose score reaches the point of their class."""
    scores = np.zeros(len(boxes)) if boxes.scores is None else boxes.scores
    pairs = zip(scores, boxes.labels, strict=True)
    return boxes.select(np.array([score >= points[name].threshold for score, name in pairs], dtype=bool))
