"""Read and write the boxes of one study as our own JSON.

A list `[{"label", "start", "stop"}]` is in RAS mm; `{"unit", "size", "boxes": […]}` names another unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.studies.boxes import DIMENSIONS, Boxes, Unit
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_annotations import BoxAnnotations, RawBox, RawImage, judge, number, refusal

ADVICE = 'Give boxes as a JSON list of {"label": "…", "start": [x, y, z], "stop": [x, y, z]} in RAS mm'


def read_box_json(path: str | Path, classes: Sequence[str] | None = None) -> BoxAnnotations:
    """Read the boxes of one study; the file's stem names it.

    Args:
        path: The file.
        classes: Class names that are known; None: any.

    Raises:
        ScanweaveError: It is not JSON, or no list of boxes.
    """
    path = Path(path)
    content = read_json(path, ADVICE)
    unit, size, listed = _parts(path, content)
    image, findings = RawImage(size), list[Finding]()
    for place, one in enumerate(listed, 1):
        ends = [one.get("start"), one.get("stop")] if isinstance(one, dict) else []
        if not ends or not all(isinstance(end, list) and len(end) == DIMENSIONS[unit] for end in ends):
            words = f"box {place}: not two corners of {DIMENSIONS[unit]} numbers"
            findings.append(refusal("box-unread", words, ADVICE, path.stem))
            image.refused = True
            continue
        start, stop = ([number(None if isinstance(n, str) else n) for n in one[end]] for end in ("start", "stop"))
        score = None if one.get("score") is None else number(one["score"])
        label = one.get("label")
        ignored = one.get("ignored") is True
        image.boxes.append(RawBox(f"box {place}", label if isinstance(label, str) else "", start, stop, score, ignored))
    return judge({path.stem: image}, findings, unit, classes)


def write_box_json(path: str | Path, boxes: Boxes) -> None:
    """Write the boxes of one study; boxes in mm as the plain list."""
    listed = box_list(boxes)
    size = None if boxes.size is None else list(boxes.size)
    write_json(path, listed if boxes.unit == "mm" else {"unit": boxes.unit, "size": size, "boxes": listed})


def box_list(boxes: Boxes) -> list[dict[str, Any]]:
    """Return boxes as plain values: label, start, stop, and score and ignored where they are there."""
    made = []
    for index, label in enumerate(boxes.labels):
        start, stop = boxes.corners[index].tolist()
        one: dict[str, Any] = {"label": label, "start": start, "stop": stop}
        if boxes.scores is not None:
            one["score"] = float(boxes.scores[index])
        if boxes.ignored is not None and boxes.ignored[index]:
            one["ignored"] = True
        made.append(one)
    return made


def _parts(path: Path, content: Any) -> tuple[Unit, tuple[int, ...] | None, list[Any]]:
    if isinstance(content, list):
        return "mm", None, content
    if not isinstance(content, dict) or not isinstance(content.get("boxes"), list):
        raise ScanweaveError(path, "not a list of boxes", ADVICE)
    unit, size = content.get("unit", "mm"), content.get("size")
    if unit not in get_args(Unit):
        raise ScanweaveError(path, f"unit {unit!r} is unknown", f"Choose from {', '.join(get_args(Unit))}")
    if size is None or unit == "mm":
        return unit, None, content["boxes"]
    sound = isinstance(size, list) and all(type(n) is int and n > 0 for n in size)
    if not sound or len(size) != DIMENSIONS[unit]:
        raise ScanweaveError(path, f"size is not {DIMENSIONS[unit]} whole numbers above 0", "Give the image's size")
    return unit, tuple(size), content["boxes"]
