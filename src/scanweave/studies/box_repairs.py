"""Make boxes usable where that is exact or harmless, and say what was done; nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scanweave.studies.box_faults import BoxFault, FaultKind
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding

REPAIRS: Mapping[FaultKind, str] = {
    "swapped": "corners put in order",
    "overhang": "cut off at the border",
    "duplicate": "kept once",
    "class-case": "written as there",
}
"""Repair of each kind of fault, in words."""

REFUSALS: Mapping[FaultKind, str] = {
    "non-finite": "Write the box again, or leave it out",
    "empty": "Draw the box again, or leave it out",
    "normalised": "Give pixels, or name the format yolo",
    "outside": "Check that the boxes belong to this image and its size",
    "class": "Add the class to the names, or leave the box out",
    "score": "Give scores from 0 to 1",
}
"""Advice on each kind of fault that is not repaired."""


def repair_boxes(
    boxes: Boxes, classes: Sequence[str] | None = None, places: Sequence[str] | None = None
) -> tuple[Boxes | None, tuple[Finding, ...]]:
    """Return the boxes with every repair of `REPAIRS` made, and a finding for every fault.

    An image with one refused box is refused as a whole (None): without that box it would teach that nothing is there.

    Args:
        boxes: Of one image.
        classes: The class names that are known; None: any.
        places: Where each box stands in its file, such as `"line 7"`; None: its number, from 1.
    """
    found: list[tuple[BoxFault, Finding]] = []
    done: set[tuple[int, FaultKind]] = set()
    while True:  # a repair may show the next fault: corners in order that reach beyond the image
        faults = [fault for fault in boxes.faults(classes) if (fault.box, fault.kind) not in done]
        if not faults:
            break
        found += [(fault, _finding(fault, places)) for fault in faults]
        done |= {(fault.box, fault.kind) for fault in faults}
        boxes = _repaired(boxes, faults, classes)
    ordered = tuple(finding for _, finding in sorted(found, key=lambda pair: pair[0].box))
    if any(finding.status == "refused" for finding in ordered):
        return None, ordered
    copies = {fault.box for fault, _ in found if fault.kind == "duplicate"}
    boxes = boxes.select([number for number in range(len(boxes)) if number not in copies])
    inside = boxes.corners if boxes.size is None else np.clip(boxes.corners, 0, np.array(boxes.size))
    return replace(boxes, corners=inside), ordered


def _finding(fault: BoxFault, places: Sequence[str] | None) -> Finding:
    place = places[fault.box] if places else f"box {fault.box + 1}"
    words = f"{place}: {fault.words}"
    if fault.kind in REPAIRS:
        return Finding(f"box-{fault.kind}", "repaired", words, REPAIRS[fault.kind])
    return Finding(f"box-{fault.kind}", "refused", words, REFUSALS[fault.kind])


def _repaired(boxes: Boxes, faults: Sequence[BoxFault], classes: Sequence[str] | None) -> Boxes:
    corners, labels = boxes.corners.copy(), list(boxes.labels)
    for fault in faults:
        if fault.kind == "swapped":
            corners[fault.box] = np.sort(corners[fault.box], axis=0)
        elif fault.kind == "overhang" and boxes.size is not None:
            corners[fault.box] = np.clip(corners[fault.box], 0, np.array(boxes.size))
        elif fault.kind == "class-case":
            labels[fault.box] = _spelling(labels[fault.box], classes or ())
    return replace(boxes, corners=corners, labels=tuple(labels))


def _spelling(label: str, classes: Sequence[str]) -> str:
    return next(name for name in classes if name.strip().casefold() == label.strip().casefold())
