"""Read and write boxes as a table: one row a box, columns found by their names.

Corners are edges in pixels (or voxels, or RAS mm, by `unit`), as in `Boxes`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.spreadsheet_cells import quoted, unquoted
from scanweave.studies.boxes import DIMENSIONS, Boxes, Unit
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
from scanweave.studies.formats.text_files import MAX_TABLE_BYTES, check_bytes
from scanweave.studies.tables.missing_words import is_absent

IMAGE = (
    "image",
    "filename",
    "file",
    "imageid",
    "imagename",
    "imagepath",
    "imagefile",
    "path",
    "study",
    "patientid",
    "id",
)
LABEL = ("label", "class", "classname", "category", "name", "finding", "findinglabel")
SCORE = ("score", "confidence", "probability")
ADVICE = "Give columns image, label and x1, y1, x2, y2 or x, y, width, height"


def read_box_table(
    path: str | Path,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
    classes: Sequence[str] | None = None,
    unit: Unit = "pixel",
    label: str | None = None,
) -> BoxAnnotations:
    """Read a CSV, TSV, Parquet or Excel table; a row with an image and no corners says that it has no findings.

    Args:
        path: The table.
        sizes: Size of each image by name [pixel or voxel]; columns image_width and image_height say it too.
        classes: Class names that are known; None: any.
        unit: Of all corners.
        label: Class of every box where the table has no such column.

    Raises:
        ScanweaveError: It is no table, or its columns name no boxes.
    """
    from scanweave.studies.tables.reading import read_frame

    path = Path(path)
    check_bytes(path, MAX_TABLE_BYTES)
    frame, notes = read_frame(path)
    names = {"".join(filter(str.isalnum, str(column).casefold())): str(column) for column in frame.columns}
    columns = _columns(path, names, DIMENSIONS[unit], label)
    findings = [Finding("table", "suspect", note, "see that it is meant") for note in notes]
    raw = dict[str, RawImage]()
    for row, cells in enumerate(frame.to_dict("records"), 1):
        texts = {key: _cell(cells[column]) for key, column in columns.items()}
        _add_row(f"row {row}", texts, DIMENSIONS[unit], label, raw, findings)
    for name, size in (sizes or {}).items():
        if name in raw:
            raw[name].size = tuple(size)
    if unit == "mm":
        for image in raw.values():
            image.size = None
    return judge(raw, findings, unit, classes)


def names_boxes(header: Sequence[str]) -> bool:
    """Return whether the headings of a table name images, classes and corners in pixels."""
    names = {"".join(filter(str.isalnum, column.casefold())): column for column in header}
    try:
        return bool(_columns(Path(), names, DIMENSIONS["pixel"], None))
    except ScanweaveError:
        return False


def write_box_table(path: str | Path, images: Mapping[str, Boxes]) -> None:
    """Write boxes of one unit as CSV; an image without boxes has a row without corners, ignored boxes are left out.

    Raises:
        ScanweaveError: The units differ.
    """
    units = {boxes.unit for boxes in images.values()}
    if len(units) > 1:
        raise ScanweaveError(path, f"boxes in {' and '.join(sorted(units))}", "Write a table for each unit")
    axes = "xyz"[: DIMENSIONS[next(iter(units), "pixel")]]
    scored = any(boxes.scores is not None for boxes in images.values())
    header = ["image", "label", *(f"{axis}{end}" for end in (1, 2) for axis in axes), *(["score"] if scored else [])]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for name, boxes in images.items():
            kept = boxes if boxes.ignored is None else boxes.select(~boxes.ignored)
            if not len(kept):
                writer.writerow([quoted(name)] + [""] * (len(header) - 1))
            for index, label in enumerate(kept.labels):
                score = [] if not scored else [""] if kept.scores is None else [repr(float(kept.scores[index]))]
                writer.writerow([quoted(name), quoted(label), *map(repr, kept.corners[index].ravel().tolist()), *score])


def _columns(path: Path, names: Mapping[str, str], axes: int, label: str | None) -> dict[str, str]:
    """Return the table's own name of each column that is used: image, label, score, corners, width and height."""
    letters = "xyz"[:axes]
    forms = [
        [f"{axis}1" for axis in letters] + [f"{axis}2" for axis in letters],
        [f"{axis}min" for axis in letters] + [f"{axis}max" for axis in letters],
        [f"start{axis}" for axis in letters] + [f"stop{axis}" for axis in letters],
        [*letters, *("width", "height", "depth")[:axes]],
        [*letters, *("w", "h", "d")[:axes]],
    ]
    flipped = {f"min{axis}": f"{axis}min" for axis in letters} | {f"max{axis}": f"{axis}max" for axis in letters}
    there = {flipped.get(name, name): column for name, column in names.items()}
    form = next((form for form in forms if all(name in there for name in form)), None)
    found = {"image": IMAGE, "label": LABEL, "score": SCORE, "width": ("imagewidth",), "height": ("imageheight",)}
    columns = {key: next((there[n] for n in known if n in there), "") for key, known in found.items()}
    if form is None or not columns["image"] or not (columns["label"] or label):
        lacking = "corners" if form is None else "image" if not columns["image"] else "label"
        step = ADVICE if lacking != "label" else "Give such a column, or name one class for all boxes"
        raise ScanweaveError(path, f"no column names the {lacking} (columns: {', '.join(names.values())})", step)
    ends = ["start"] * axes + ["extent" if form[0] in letters else "stop"] * axes
    columns |= {f"{end}{axis}": there[name] for end, axis, name in zip(ends, letters * 2, form, strict=True)}
    return {key: column for key, column in columns.items() if column}


def _cell(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return "" if is_absent(text) else unquoted(text)


def _add_row(
    place: str,
    texts: Mapping[str, str],
    axes: int,
    label: str | None,
    raw: dict[str, RawImage],
    findings: list[Finding],
) -> None:
    name = texts["image"]
    if not name:
        findings.append(refusal("box-nowhere", f"{place}: names no image", "Name it, or leave the row out"))
        return
    image = raw.setdefault(name, RawImage())
    image.size = image.size or image_size(texts.get("width"), texts.get("height"))
    letters = "xyz"[:axes]
    start = [texts[f"start{axis}"] for axis in letters]
    by_extent = "extentx" in texts
    rest = [texts[f"{'extent' if by_extent else 'stop'}{axis}"] for axis in letters]
    if not any((*start, *rest)):
        return
    first, second = [_decimal(text) for text in start], [_decimal(text) for text in rest]
    stop = [a + b for a, b in zip(first, second, strict=True)] if by_extent else second
    score = texts.get("score")
    image.boxes.append(
        RawBox(place, texts.get("label") or label or "", first, stop, _decimal(score) if score else None)
    )


def _decimal(text: str) -> float:
    """Return a number that may be written with a decimal comma."""
    return number(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
