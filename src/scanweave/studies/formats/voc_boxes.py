"""Read and write boxes as Pascal VOC XML: one file an image, corners are pixels counted from 1, both included.

Pixel 1 to pixel 640 (`xmin` 1, `xmax` 640) is the whole width of an image of 640: edges 0 to 640 here.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_annotations import (
    BoxAnnotations,
    RawBox,
    RawImage,
    image_size,
    judge,
    name_fault,
    number,
    refusal,
)
from scanweave.studies.formats.text_files import parse_xml, read_bytes

EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: str | Path, classes: Sequence[str] | None = None, first_pixel: int = 1) -> BoxAnnotations:
    """Read one VOC file or all `.xml` of a folder; images are named by their `filename`.

    Args:
        path: A file or folder.
        classes: Class names that are known; None: any.
        first_pixel: Number of the first pixel: 1 as the format says, 0 for tools that count from 0.

    Raises:
        ScanweaveError: There is none, or the file given is unreadable; in a folder such a file is a finding.
    """
    path = Path(path)
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise ScanweaveError(path, "holds no .xml file", "Give the folder of the annotations")
    raw, findings = dict[str, RawImage](), list[Finding]()
    for file in files:
        try:
            name, image = _read_image(file, first_pixel, findings)
        except ScanweaveError as error:
            if not path.is_dir():
                raise
            findings.append(refusal("annotation-unread", f"{file.name}: {error.reason}", error.next_step))
            continue
        if name in raw:
            raw[name].refused = True
            findings.append(refusal("image-twice", f"{file.name} annotates it too", "Keep one file an image", name))
        else:
            raw[name] = image
    return judge(raw, findings, classes=classes)


def write_voc(folder: str | Path, images: Mapping[str, Boxes]) -> None:
    """Write one VOC file an image, named by the image's name; edges that are not whole become decimals.

    Raises:
        ScanweaveError: Boxes are not in pixels, the size of an image is unknown, or its name cannot name a file of its
            own in the folder. Nothing is written then.
    """
    written = set[Path]()
    for name, boxes in images.items():
        file = Path(name).with_suffix(".xml") if name_fault(name) is None else None
        if file is None or file in written:
            reason = name_fault(name) or "another image has its file"
            raise ScanweaveError(repr(name), reason, "Give every image a name of its own below the folder")
        written.add(file)
        if boxes.unit != "pixel" or boxes.size is None:
            raise ScanweaveError(
                name, f"boxes in {boxes.unit} of a size {boxes.size}", "VOC holds pixels: give the size"
            )
    for name, boxes in images.items():
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = name
        size = ElementTree.SubElement(root, "size")
        for field, value in zip(("width", "height"), boxes.size or (), strict=True):
            ElementTree.SubElement(size, field).text = str(value)
        for index, label in enumerate(boxes.labels):
            _write_object(root, boxes, index, label)
        ElementTree.indent(root)
        with atomic_write(Path(folder) / Path(name).with_suffix(".xml")) as temporary:
            ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _write_object(root: ElementTree.Element, boxes: Boxes, index: int, label: str) -> None:
    item = ElementTree.SubElement(root, "object")
    ElementTree.SubElement(item, "name").text = label
    ElementTree.SubElement(item, "difficult").text = str(0 if boxes.ignored is None else int(boxes.ignored[index]))
    if boxes.scores is not None:
        ElementTree.SubElement(item, "score").text = repr(float(boxes.scores[index]))
    box = ElementTree.SubElement(item, "bndbox")
    (x1, y1), (x2, y2) = boxes.corners[index].tolist()
    for field, value in zip(EDGES, (x1 + 1, y1 + 1, x2, y2), strict=True):
        ElementTree.SubElement(box, field).text = str(int(value)) if value == int(value) else repr(value)


def _read_image(path: Path, first_pixel: int, findings: list[Finding]) -> tuple[str, RawImage]:
    root = parse_xml(path, read_bytes(path))
    if root.tag != "annotation":
        raise ScanweaveError(path, f"the root is <{root.tag}>, not <annotation>", "Give Pascal VOC XML")
    name = _text(root, "filename") or path.stem
    image = RawImage(image_size(_text(root, "size/width"), _text(root, "size/height")))
    if Path(name).stem != path.stem:
        findings.append(Finding("image-name", "suspect", f"{path.name} names this image", "see that it is meant", name))
    if image.size is None:
        findings.append(
            Finding("image-size", "suspect", f"{path.name} lacks its size", "compare the boxes with the image", name)
        )
    for index, item in enumerate(root.iter("object"), 1):
        image.boxes.append(_box(item, f"object {index}", first_pixel))
    if first_pixel == 1 and _counts_from_zero(image.boxes):
        words = f"{path.name} holds a corner at pixel 0, but counts from 1"
        findings.append(Finding("first-pixel", "suspect", words, "give first_pixel=0 if its tool counts from 0", name))
    return name, image


def _box(item: ElementTree.Element, place: str, first_pixel: int) -> RawBox:
    x1, y1, x2, y2 = (number(_text(item, f"bndbox/{edge}")) for edge in EDGES)
    score = _text(item, "score")
    return RawBox(
        place,
        _text(item, "name"),
        (x1 - first_pixel, y1 - first_pixel),
        # The last pixel belongs to the box: its far edge lies one further.
        (x2 - first_pixel + 1, y2 - first_pixel + 1),
        number(score) if score else None,
        _text(item, "difficult") == "1",
    )


def _counts_from_zero(boxes: Iterable[RawBox]) -> bool:
    return any(min(box.start) == -1 for box in boxes if all(map(math.isfinite, box.start)))


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
