"""Read boxes in any of the formats that people have them in, told apart by name and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.studies.formats.box_annotations import BoxAnnotations
from scanweave.studies.formats.coco_boxes import ADVICE, read_coco
from scanweave.studies.formats.json_boxes import read_box_json
from scanweave.studies.formats.table_boxes import read_box_table
from scanweave.studies.formats.voc_boxes import read_voc
from scanweave.studies.formats.yolo_boxes import read_yolo

BoxFormat = Literal["coco", "voc", "yolo", "table", "json"]

TABLES = (".csv", ".tsv", ".parquet", ".xlsx")


def read_box_file(
    path: str | Path,
    kind: BoxFormat | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    classes: Sequence[str] | None = None,
) -> BoxAnnotations:
    """Read boxes of many images (COCO, VOC, YOLO, a table) or of one study (our JSON).

    Args:
        path: A file, or a folder of VOC or YOLO files.
        kind: Format of the file; None: told by `box_format`.
        sizes: Width and height [pixels] by image: YOLO needs them, a table uses them.
        classes: Class names that are known, in the order of YOLO's numbers; None: as the format says.

    Raises:
        ScanweaveError: The format cannot be told, or the file cannot be read.
    """
    path = Path(path)
    chosen = kind or box_format(path)
    if chosen == "coco":
        return read_coco(path, classes)
    if chosen == "voc":
        return read_voc(path, classes)
    if chosen == "yolo":
        return read_yolo(path, sizes or {}, classes)
    if chosen == "table":
        return read_box_table(path, sizes, classes)
    return read_box_json(path, classes)


def box_format(path: Path) -> BoxFormat:
    """Return the format of a file or folder of boxes.

    Raises:
        ScanweaveError: It is none that is known.
    """
    suffix = path.name.lower().removesuffix(".gz")
    if path.is_dir():
        if any(path.glob("*.xml")):
            return "voc"
        if any(path.glob("*.txt")):
            return "yolo"
    elif suffix.endswith(".xml"):
        return "voc"
    elif suffix.endswith(TABLES):
        return "table"
    elif suffix.endswith(".json"):
        content = read_json(path, ADVICE)
        return "coco" if isinstance(content, dict) and "annotations" in content else "json"
    raise ScanweaveError(path, "no format of boxes that is known", "Give COCO or own JSON, VOC XML, YOLO text or a CSV")
