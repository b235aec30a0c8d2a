"""Read and write boxes as YOLO text: one file an image, lines of `class x y width height [score]`.

`class` counts from 0 in the names; x, y are the centre; all are shares of the image's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding
from scanweave.studies.formats.box_annotations import BoxAnnotations, RawBox, RawImage, judge, number, refusal
from scanweave.studies.formats.file_states import CLASS_NAMES, find_class_names
from scanweave.studies.formats.text_files import MAX_TEXT_BYTES, check_bytes, read_text

MOST_ABOVE_ONE = 1.5
"""A share above this is no rounding and no overhang: the file holds pixels."""


def read_yolo(
    folder: str | Path, sizes: Mapping[str, tuple[int, int]], names: Sequence[str] | None = None
) -> BoxAnnotations:
    """Read all `.txt` of a folder.

    Args:
        folder: Where they lie.
        sizes: Width and height [pixels] of each image by its name; `a.txt` belongs to `a.png` or `a.jpg`.
        names: Class names in order; None: the lines of `classes.txt` in the folder.

    Raises:
        ScanweaveError: There is no file, or the names are absent, or two images differ by their suffix only.
    """
    folder = Path(folder)
    files = [file for file in sorted(folder.glob("*.txt")) if file.name != CLASS_NAMES]
    if not files:
        raise ScanweaveError(folder, "holds no .txt file of boxes", "Give the folder of the labels")
    names = find_names(folder) if names is None else list(names)
    images = dict[str, str]()
    for image in sizes:
        stem = PurePosixPath(image).stem
        if stem in images:
            raise ScanweaveError(folder, f"{stem}.txt belongs to {images[stem]} and {image}", "Rename one of them")
        images[stem] = image
    raw, findings = dict[str, RawImage](), list[Finding]()
    for file in files:
        name = images.get(file.stem)
        if name is None:
            findings.append(refusal("box-nowhere", f"{file.name} belongs to no image", "Add its image, or remove it"))
        else:
            raw[name] = _read_image(file, name, sizes[name], names, findings)
    return judge(raw, findings, classes=names)


def write_yolo(folder: str | Path, images: Mapping[str, Boxes], names: Sequence[str]) -> None:
    """Write one `.txt` an image, and `classes.txt`; YOLO has no crowds: ignored boxes are left out.

    Raises:
        ScanweaveError: Boxes are not in pixels, a size is unknown, a class is not in `names`, or two images would share
            a file.
    """
    folder, written = Path(folder), set[str]()
    for name, boxes in images.items():
        if boxes.unit != "pixel" or boxes.size is None or not set(boxes.labels) <= set(names):
            raise ScanweaveError(name, "not in pixels of a known size and of known classes", "Give size and all names")
        stem = PurePosixPath(name).stem
        if stem in written or f"{stem}.txt" == CLASS_NAMES:
            raise ScanweaveError(name, f"another file is named {stem}.txt", "Rename the image")
        written.add(stem)
        with atomic_write(folder / f"{stem}.txt") as temporary:
            temporary.write_text("".join(_lines(boxes, list(names))), encoding="utf-8")
    with atomic_write(folder / CLASS_NAMES) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def read_yolo_file(path: Path, size: tuple[int, int], names: Sequence[str]) -> BoxAnnotations:
    """Read the boxes of one image; the file's stem names it.

    Args:
        path: The file.
        size: Width and height of its image [pixels].
        names: Class names in order.

    Raises:
        ScanweaveError: It is absent.
    """
    findings = list[Finding]()
    check_bytes(path, MAX_TEXT_BYTES)
    return judge({path.stem: _read_image(path, path.stem, size, names, findings)}, findings, classes=names)


def find_names(folder: Path) -> list[str]:
    """Return the class names of `classes.txt` in the folder of the boxes, or in one of the two above it.

    Raises:
        ScanweaveError: There is none.
    """
    path = find_class_names(folder)
    if path is None:
        step = "Write the names, one a line, in the order of the numbers"
        raise ScanweaveError(folder / CLASS_NAMES, "is absent, so the classes have no names", step)
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _read_image(
    path: Path, name: str, size: tuple[int, int], names: Sequence[str], findings: list[Finding]
) -> RawImage:
    image = RawImage(size)
    try:
        lines = read_text(path).splitlines()
    except ScanweaveError as error:
        lines, image.refused = [], True
        findings.append(refusal("annotation-unread", f"{path.name}: {error.reason}", error.next_step, name))
    for place, line in enumerate(lines, 1):
        cells = line.split()
        if not cells:
            continue
        fault = _line_fault(cells, names)
        if fault:
            findings.append(refusal("box-unread", f"line {place}: {fault[0]}", fault[1], name))
            image.refused = True
        else:
            image.boxes.append(_box(cells, f"line {place}", size, names))
    return image


def _line_fault(cells: Sequence[str], names: Sequence[str]) -> tuple[str, str] | None:
    if len(cells) not in (5, 6):
        step = "Turn outlines into boxes first" if len(cells) > 6 else "Give class x y width height"
        return f"{len(cells)} numbers, not 5 or 6", step
    if not (cells[0].isascii() and cells[0].isdecimal()) or int(cells[0][:9]) >= len(names):
        return f"class '{cells[0]}' is not a number below {len(names)}", "Give the names of all classes"
    shares = [number(cell) for cell in cells[1:5]]
    if any(math.isfinite(share) and abs(share) > MOST_ABOVE_ONE for share in shares):
        return f"{' '.join(cells[1:5])} look like pixels where shares of the image are expected", "Divide by its size"
    return None


def _box(cells: Sequence[str], place: str, size: tuple[int, int], names: Sequence[str]) -> RawBox:
    centre, extent = [number(cell) for cell in cells[1:3]], [number(cell) for cell in cells[3:5]]
    start = [(c - e / 2) * n for c, e, n in zip(centre, extent, size, strict=True)]
    stop = [(c + e / 2) * n for c, e, n in zip(centre, extent, size, strict=True)]
    return RawBox(place, names[int(cells[0])], start, stop, number(cells[5]) if len(cells) == 6 else None)


def _lines(boxes: Boxes, names: list[str]) -> list[str]:
    size = boxes.size or (1, 1)
    lines = []
    for index, label in enumerate(boxes.labels):
        if boxes.ignored is not None and boxes.ignored[index]:
            continue
        centre = [c / n for c, n in zip(boxes.corners[index].mean(axis=0).tolist(), size, strict=True)]
        extent = [e / n for e, n in zip(boxes.extents[index].tolist(), size, strict=True)]
        score = [] if boxes.scores is None else [float(boxes.scores[index])]
        lines.append(
            " ".join([str(names.index(label)), *(f"{value:.10g}" for value in (*centre, *extent, *score))]) + "\n"
        )
    return lines
