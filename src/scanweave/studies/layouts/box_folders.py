"""Films with boxes: `images/` beside `annotations/` (VOC, own JSON) or `labels/` (YOLO), or one COCO file or table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import safe_id
from scanweave.studies.formats.box_annotations import name_fault
from scanweave.studies.formats.box_cells import read_many
from scanweave.studies.formats.file_states import CLASS_NAMES
from scanweave.studies.formats.image_names import stem
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.table_boxes import names_boxes
from scanweave.studies.layouts.folder_pairs import IMAGES, MASKS, ONLY
from scanweave.studies.layouts.listing import Listing, images, is_text
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.split_words import PARTS
from scanweave.wording import count

IMAGE_FOLDERS = (*IMAGES, "jpegimages")
BOX_FOLDERS = (*MASKS, "boxes", "bboxes")
KINDS = (".xml", ".txt", ".json")
"""Files of the boxes of one image, named as it is."""
HEAD_BYTES = 4096
"""Of a JSON file, by which COCO is told."""
JUDGED_FILES = 20
"""Files of a folder by which it is judged."""


@dataclass(frozen=True)
class Annotated:
    """Places of the boxes of the images of a folder.

    Attributes:
        folder: Of the images, relative to the source.
        boxes: Folder of a file an image, or the one file of all, relative to the source.
        part: `train`, `validation` or `test`, where a folder says so.
        suffix: Of the files of one image; None: one file of all.
    """

    folder: str
    boxes: str
    part: str | None
    suffix: str | None = None


def annotations_in(src: Path, file: Path | None = None) -> list[Annotated]:
    """Return where `src` or its folders of parts hold images with boxes; `file`: the one file of all, if it is one."""
    if file is not None:
        return [Annotated("", file.name, None)] if _holds_many(file) else []
    found = list(_annotated(src, "", None))
    for folder in sorted(path for path in src.iterdir() if path.is_dir() and path.name.lower() in PARTS):
        found += _annotated(folder, f"{folder.name}/", PARTS[folder.name.lower()])
    return found


def _annotated(folder: Path, prefix: str, part: str | None) -> Iterator[Annotated]:
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    own = next((inside[name].name for name in IMAGE_FOLDERS if name in inside), None)
    boxes = [inside[name] for name in BOX_FOLDERS if name in inside]
    for at in boxes if own else ():
        kind = _kind_of(at, folder / str(own))
        if kind:
            yield Annotated(prefix + str(own), prefix + at.name, part, kind)
            return
    many = [path for at in (folder, *boxes) for path in sorted(at.iterdir()) if path.is_file() and _holds_many(path)]
    if many and (own or any(True for _ in images(folder))):
        for path in many:
            yield Annotated(prefix + (own or ""), prefix + path.relative_to(folder).as_posix(), part)


def _kind_of(boxes: Path, films: Path) -> str | None:
    """Return the suffix of the files of a folder that are named as images are, or None."""
    names = {PurePosixPath(*parts).with_name(stem(parts[-1])).as_posix() for parts in images(films)}
    for kind in KINDS:
        own = [path.relative_to(boxes).with_suffix("").as_posix() for path in sorted(boxes.rglob(f"*{kind}"))]
        if any(name in names for name in own[:JUDGED_FILES]):
            return kind
    return None


def _holds_many(path: Path) -> bool:
    """Return whether a file is COCO JSON or a table of boxes, by its head."""
    kind = path.suffix.lower()
    try:
        if kind == ".json":
            with path.open("rb") as stream:
                head, size = stream.read(HEAD_BYTES), path.stat().st_size
            if not head.lstrip().startswith(b"{"):
                return False
            if any(word in head for word in (b'"annotations"', b'"categories"', b'"images"')):
                return True
            return size > HEAD_BYTES and b'"info"' in head
        if kind in (".csv", ".tsv"):
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as table:
                head_line = table.readline(HEAD_BYTES)
            mark = max(",;\t", key=head_line.count)
            return names_boxes(next(csv.reader([head_line], delimiter=mark), []))
    except (OSError, csv.Error):
        return False
    return False


def list_boxes(src: Path, names: Names) -> Listing:
    """Return a study an image: `scan:image`, and its `boxes` where it was annotated.

    An image that no annotation names has no boxes: it was not looked at. Of images only headers are opened, and only
    for YOLO, whose boxes are shares of the size.

    Raises:
        ScanweaveError: There are no boxes, or their file cannot be read.
    """
    root = src if src.is_dir() else src.parent
    found = annotations_in(src) if src.is_dir() else annotations_in(root, src)
    if not found:
        step = "Give images/ beside annotations/ or labels/, or one COCO JSON or CSV"
        raise ScanweaveError(src, "no boxes that belong to images were found", step)
    named = names.of(ONLY)
    scan = named if isinstance(named, Named) else Named(f"scan:{ONLY}", "the images")
    listing = Listing("boxes", root)
    paths: dict[str, str] = {}
    for one in found:
        cells = _cells_of_each(root, one, listing) if one.suffix else _cells_of_all(root, one, listing)
        for path, cell in cells.items():
            if path not in paths:
                paths[path] = _study(listing, path, one)
                listing.add(listing.studies[paths[path]], scan, path)
            if cell is not None:
                listing.add(listing.studies[paths[path]], Named("boxes", "the annotations"), cell)
    bare = sum("boxes" not in row for row in listing.studies.values())
    if bare:
        listing.remarks.append(
            f"{count(bare, 'image')} without annotation: not looked at, which is not to say without finding"
        )
    return listing


def _study(listing: Listing, path: str, one: Annotated) -> str:
    """Return the name of the study of an image, entered in the listing."""
    folders, name = PurePosixPath(path).parts[:-1], stem(PurePosixPath(path).name)
    below = PurePosixPath(path).relative_to(one.folder or ".").parts[:-1]
    part = one.part or next((PARTS[folder.lower()] for folder in below if folder.lower() in PARTS), None)
    if safe_id(name) in listing.studies:
        name = "-".join((*folders, name))
    return str(listing.study(name, **({"split": part} if part else {}))["study"])


def _cells_of_each(root: Path, one: Annotated, listing: Listing) -> dict[str, str | None]:
    """Return the cell of boxes of every image of a folder, None where it has no file of its name."""
    cells: dict[str, str | None] = {}
    kind, boxes = str(one.suffix), root / one.boxes
    left = {path.relative_to(boxes).as_posix() for path in boxes.rglob(f"*{kind}") if path.name != CLASS_NAMES}
    for path in _films(listing, root, one.folder):
        own = PurePosixPath(path).relative_to(one.folder)
        file = own.with_name(stem(own.name) + kind).as_posix()
        there = file in left or (boxes / file).is_file()
        left.discard(file)
        cells[path] = _cell(root, path, f"{one.boxes}/{file}") if there else None
    if left:
        listing.skipped["boxes without image"] += [ascii(f"{one.boxes}/{file}").strip("'") for file in sorted(left)]
    return cells


def _cell(root: Path, image: str, file: str) -> str:
    if not file.lower().endswith(".txt"):
        return file
    width, height = read_scan(root / image).geometry.shape[:2]
    return f"{file}#{width}x{height}"


def _cells_of_all(root: Path, one: Annotated, listing: Listing) -> dict[str, str | None]:
    """Return the cell of boxes of every image of a folder, None where the one file does not name it."""
    read = read_many(root / one.boxes)
    known = dict.fromkeys([*read.boxes, *(finding.scan for finding in read.findings if finding.scan)])
    by_name = {path: path for path in _films(listing, root, one.folder)}
    cells: dict[str, str | None] = dict.fromkeys(by_name)
    places = _places(by_name, one.folder)
    for name in known:
        path = None if name_fault(name) else places.get(PurePosixPath(name.replace("\\", "/")).as_posix())
        if path is None or not is_text(name):
            listing.skipped["boxes without image"].append(ascii(name).strip("'"))
        else:
            cells[path] = f"{one.boxes}#{name}"
    told = [finding for finding in read.findings if finding.scan is None]
    listing.remarks += [f"{one.boxes}: {finding}" for finding in told[:JUDGED_FILES]]
    if len(told) > JUDGED_FILES:
        listing.remarks.append(f"{one.boxes}: {len(told) - JUDGED_FILES} more of such")
    return cells


def _places(paths: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return images by every name that a file of boxes may call them: path or name, with or without suffix."""
    found: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for path in paths:
        pure = PurePosixPath(path)
        inner = pure.relative_to(folder or ".")
        for name in dict.fromkeys((path, inner.as_posix(), pure.name)):
            for spelt in (name, name[: len(name) - len(pure.name)] + stem(pure.name)):
                names.setdefault(spelt, []).append(path)
    for name, those in names.items():
        if len(set(those)) == 1:
            found[name] = those[0]
    return found


def _films(listing: Listing, root: Path, folder: str) -> Iterator[str]:
    for parts in images(root / folder):
        path = PurePosixPath(folder, *parts).as_posix()
        if is_text(path):
            yield path
        else:
            listing.skipped["its name is not valid UTF-8"].append(ascii(path))
