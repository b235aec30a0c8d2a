"""Read and write boxes as COCO JSON: one file, `bbox` is [x, y, width, height] from the corner of pixel 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_annotations import (
    BoxAnnotations,
    RawBox,
    RawImage,
    image_size,
    judge,
    number,
    refusal,
)

PARTS = ("images", "annotations", "categories")
ADVICE = 'Give COCO JSON: {"images": […], "annotations": […], "categories": […]}'


def read_coco(path: str | Path, classes: Sequence[str] | None = None) -> BoxAnnotations:
    """Read a COCO file; images are named by `file_name`.

    Args:
        path: The file.
        classes: Class names that are known; None: those of its categories.

    Raises:
        ScanweaveError: It is no COCO file, or two images or categories have one id or name.
    """
    path = Path(path)
    content = read_json(path, ADVICE)
    images, annotations, categories = (_entries(path, content, name) for name in PARTS)
    names = _by_id(path, categories, "categories", "name")
    files = _by_id(path, images, "images", "file_name")
    raw = {files[str(one["id"])]: RawImage(image_size(one.get("width"), one.get("height"))) for one in images}
    findings = list[Finding]()
    for place, one in enumerate(annotations, 1):
        _add(one, f"annotation {one.get('id', place)}", names, files, raw, findings)
    return judge(raw, findings, classes=list(names.values()) if classes is None else classes)


def write_coco(path: str | Path, images: Mapping[str, Boxes], classes: Sequence[str] | None = None) -> None:
    """Write a COCO file; all ids count from 1, as pycocotools needs, and scores stand beside the boxes.

    Args:
        path: The file.
        images: Boxes in pixels by image, each with its size.
        classes: Categories in order; None: the classes there are, sorted.

    Raises:
        ScanweaveError: Boxes are not in pixels, or of a class that is not listed, or the size of an image is unknown.
    """
    names = list(classes) if classes is not None else sorted({label for one in images.values() for label in one.labels})
    known = {name: index for index, name in enumerate(names, 1)}
    listed, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for index, (name, boxes) in enumerate(images.items(), 1):
        if boxes.unit != "pixel" or boxes.size is None:
            raise ScanweaveError(
                name, f"boxes in {boxes.unit} of a size {boxes.size}", "COCO holds pixels: give the size"
            )
        listed.append({"id": index, "file_name": name, "width": boxes.size[0], "height": boxes.size[1]})
        for one in _written(name, boxes, known):
            annotations.append({"id": len(annotations) + 1, "image_id": index, **one})
    categories = [{"id": index, "name": name} for name, index in known.items()]
    write_json(path, {"images": listed, "annotations": annotations, "categories": categories})


def _entries(path: Path, content: Any, name: str) -> list[dict[str, Any]]:
    part = content.get(name) if isinstance(content, dict) else None
    if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
        raise ScanweaveError(path, f"{name} is no list of objects", ADVICE)
    return part


def _by_id(path: Path, entries: list[dict[str, Any]], kind: str, field: str) -> dict[str, str]:
    """Return the name of each id; ids may be numbers or text."""
    found = dict[str, str]()
    for entry in entries:
        key, name = entry.get("id"), entry.get(field)
        if not isinstance(key, int | str) or isinstance(key, bool) or not isinstance(name, str):
            raise ScanweaveError(path, f"an entry of {kind} lacks its id or {field}", ADVICE)
        if str(key) in found:
            raise ScanweaveError(path, f"two {kind} have the id {key}", "Give every one an id of its own")
        found[str(key)] = name
    twice = next((name for name, times in Counter(found.values()).items() if times > 1), None)
    if twice is not None:
        raise ScanweaveError(path, f"two {kind} are named '{twice}'", "Give every one a name of its own")
    return found


def _add(
    one: dict[str, Any],
    place: str,
    names: Mapping[str, str],
    files: Mapping[str, str],
    raw: dict[str, RawImage],
    findings: list[Finding],
) -> None:
    file = files.get(str(one.get("image_id")))
    if file is None:
        words = f"{place}: image_id {one.get('image_id')} points to no image"
        findings.append(refusal("box-nowhere", words, "Add the image, or leave the box out"))
        return
    label = names.get(str(one.get("category_id")))
    corner = one.get("bbox")
    if label is None or not isinstance(corner, list) or len(corner) != 4:
        words = (
            f"category_id {one.get('category_id')} points to no category" if label is None else "no bbox of 4 numbers"
        )
        step = "Add the category, or leave the box out" if label is None else "Give bbox as [x, y, width, height]"
        findings.append(refusal("box-unread", f"{place}: {words}", step, file))
        raw[file].refused = True
        return
    x, y, width, height = (number(value) if not isinstance(value, str) else number(None) for value in corner)
    score = None if one.get("score") is None else number(one["score"])
    box = RawBox(place, label, (x, y), (x + width, y + height), score, one.get("iscrowd") in (1, True))
    raw[file].boxes.append(box)


def _written(image: str, boxes: Boxes, known: Mapping[str, int]) -> list[dict[str, Any]]:
    made = []
    for index, label in enumerate(boxes.labels):
        if label not in known:
            raise ScanweaveError(image, f"class '{label}' is not among {', '.join(known)}", "List it in classes")
        one: dict[str, Any] = {
            "category_id": known[label],
            "bbox": [*boxes.corners[index, 0].tolist(), *boxes.extents[index].tolist()],
            "area": float(boxes.volumes[index]),
            "iscrowd": 0 if boxes.ignored is None else int(boxes.ignored[index]),
        }
        if boxes.scores is not None:
            one["score"] = float(boxes.scores[index])
        made.append(one)
    return made
