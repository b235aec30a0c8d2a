"""Hold the boxes that a file or folder of annotations gives, and judge them image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from scanweave.studies.box_repairs import repair_boxes
from scanweave.studies.boxes import DIMENSIONS, Boxes, Unit
from scanweave.studies.findings import Finding


@dataclass(frozen=True)
class BoxAnnotations:
    """Boxes that were read, and the faults found.

    Attributes:
        boxes: Boxes by image, as the annotations name it. An image with no boxes is one without findings; an image
            that does not stand here was not annotated, or was refused.
        findings: Every fault, one each, with the image as its `scan`.
    """

    boxes: Mapping[str, Boxes]
    findings: tuple[Finding, ...] = ()


@dataclass
class RawBox:
    """One box as it stands in a file, not judged yet."""

    place: str
    label: str
    start: Sequence[float]
    stop: Sequence[float]
    score: float | None = None
    ignored: bool = False


@dataclass
class RawImage:
    """The boxes of one image as they stand in a file; `refused` when one of them could not even be read."""

    size: tuple[int, ...] | None = None
    boxes: list[RawBox] = field(default_factory=list)
    refused: bool = False


def judge(
    images: Mapping[str, RawImage],
    findings: Sequence[Finding] = (),
    unit: Unit = "pixel",
    classes: Sequence[str] | None = None,
) -> BoxAnnotations:
    """Return the images whose boxes are sound or were repaired, with what was found in the rest.

    Args:
        images: What was read of each image.
        findings: What was found while reading.
        unit: Of all boxes.
        classes: The class names that are known; None: any.
    """
    kept, told = dict[str, Boxes](), list(findings)
    for name, image in images.items():
        boxes, found = repair_boxes(_boxes(image, unit), classes, [box.place for box in image.boxes])
        fault = name_fault(name)
        told += [finding.of(name) for finding in found]
        if fault:
            told.append(
                refusal("image-name", f"the image name {name!r} {fault}", "Give a path below the images' folder")
            )
        elif boxes is not None and not image.refused:
            kept[name] = boxes
    return BoxAnnotations(kept, tuple(told))


def refusal(kind: str, words: str, step: str, image: str | None = None) -> Finding:
    """Return a finding that refuses an image, or a line that belongs to none."""
    return Finding(kind, "refused", words, step, image)


def number(value: Any) -> float:
    """Return a JSON or text value as a number; NaN if it is none, so that it is told as a fault of its box."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def image_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Return a size (x, y) [pixels], or None where it is not two whole numbers above 0."""
    pair = number(width), number(height)
    if not all(math.isfinite(value) and value >= 1 and value == int(value) for value in pair):
        return None
    return int(pair[0]), int(pair[1])


def name_fault(name: str) -> str | None:
    """Return why an image name cannot be looked up below a folder, or None if it can."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not name.strip() or "\0" in name:
        return "is empty"
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        return "leads out of its folder"
    return None


def _boxes(image: RawImage, unit: Unit) -> Boxes:
    scored = [box.score for box in image.boxes if box.score is not None]
    scores = [math.nan if box.score is None else box.score for box in image.boxes] if scored else None
    made = Boxes(
        np.array([[box.start, box.stop] for box in image.boxes]).reshape(-1, 2, DIMENSIONS[unit]),
        tuple(box.label for box in image.boxes),
        unit,
        scores=None if scores is None else np.array(scores),
        ignored=np.array([box.ignored for box in image.boxes], dtype=bool),
    )
    return replace(made, size=image.size)
