"""The boxes of one study from a cell of a manifest: `FILE` of one image, or `FILE#IMAGE` of a file that holds many.

Nothing is converted or copied: a cell names COCO JSON or a table with the image as the file calls it, YOLO text with
the size of its image (`a.txt#640x480`), and Pascal VOC or our own JSON alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.files import plain_size
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_annotations import BoxAnnotations
from scanweave.studies.formats.box_files import box_format, read_box_file
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.image_names import split_part
from scanweave.studies.formats.yolo_boxes import find_names, read_yolo_file

OPEN_FILES = 4
"""Files of many images that are kept read, so that a cohort does not read them once a study."""


def gather_boxes(paths: Mapping[str, Path]) -> Boxes | None:
    """Return the boxes of a study, of the only path that there is; None where there is none: not annotated."""
    return next((read_boxes(path) for path in paths.values()), None)


def read_boxes(path: Path) -> Boxes:
    """Return the boxes that a cell names, repaired where that is exact or harmless.

    Raises:
        ScanweaveError: They cannot be read, or one of them cannot be used.
    """
    boxes, findings = judge_boxes(path)
    if boxes is None:
        fault = next((one for one in findings if one.status == "refused"), None)
        if fault is None:
            raise ScanweaveError(path, "holds no boxes of this image", "Annotate it, or leave the cell empty")
        raise ScanweaveError(path, fault.words, fault.step)
    return boxes


def judge_boxes(path: Path) -> tuple[Boxes | None, tuple[Finding, ...]]:
    """Return the boxes that a cell names (None: refused) and what was found about them.

    Raises:
        ScanweaveError: The file cannot be read at all.
    """
    file, part = split_part(path)
    plain_size(file)
    if file.suffix.lower() == ".txt":
        size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", part or "")
        if size is None:
            raise ScanweaveError(path, "does not say how large its image is", "Name it as FILE.txt#WIDTHxHEIGHT")
        found = read_yolo_file(file, (int(size[1]), int(size[2])), find_names(file.parent))
    elif part is None:
        found = read_box_file(file)
        if len({*found.boxes, *(finding.scan for finding in found.findings if finding.scan)}) > 1:
            raise ScanweaveError(path, "holds boxes of many images", "Name one of them as FILE#IMAGE")
    else:
        found = _read_many(str(file), tuple(file_state(file)))
    own = part if part is not None and file.suffix.lower() != ".txt" else None
    told = [finding for finding in found.findings if own is None or finding.scan == own]
    boxes = found.boxes.get(own) if own is not None else next(iter(found.boxes.values()), None)
    if boxes is None and not any(finding.status == "refused" for finding in told):
        raise ScanweaveError(file, f"holds no boxes of {own or 'an image'}", "Annotate it, or leave the cell empty")
    return boxes, tuple(told)


def read_many(file: Path) -> BoxAnnotations:
    """Return the boxes of all images of a COCO file or a table, read once as long as it stays as it is.

    Raises:
        ScanweaveError: It cannot be read.
    """
    return _read_many(str(file), tuple(file_state(file)))


@lru_cache(maxsize=OPEN_FILES)
def _read_many(file: str, state: tuple[int, ...]) -> BoxAnnotations:
    kind = box_format(Path(file))
    if kind not in ("coco", "table"):
        raise ScanweaveError(file, "holds the boxes of one image", "Name the file alone, without #")
    return read_box_file(file, kind)
