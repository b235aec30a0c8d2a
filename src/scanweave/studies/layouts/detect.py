"""Detection of the layout of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.image_names import ARRAY_SUFFIXES, FILM_SUFFIXES, VOLUME_SUFFIXES, suffix
from scanweave.studies.layouts.array_archive import list_arrays
from scanweave.studies.layouts.bids import DATATYPES, list_bids
from scanweave.studies.layouts.box_folders import annotations_in, list_boxes
from scanweave.studies.layouts.class_folders import classes_in, list_classes
from scanweave.studies.layouts.datasets import ABOUT, CHANNEL, list_decathlon, list_nnunet, read_about
from scanweave.studies.layouts.folder_pairs import list_pairs, pairs_in
from scanweave.studies.layouts.folders import list_flat, list_folders
from scanweave.studies.layouts.listing import Listing, images, stem
from scanweave.studies.layouts.names import Names
from scanweave.studies.layouts.report_folders import holds_reports, list_reports
from scanweave.studies.layouts.table import list_table, table_in

LAYOUTS: dict[str, Callable[[Path, Names], Listing]] = {
    "nnunet": list_nnunet,
    "decathlon": list_decathlon,
    "bids": list_bids,
    "folders": list_folders,
    "flat": list_flat,
    "boxes": list_boxes,
    "pairs": list_pairs,
    "classes": list_classes,
    "arrays": list_arrays,
    "reports": list_reports,
    "table": list_table,
}
"""Every layout by the name that `--layout` takes."""


def detect(src: Path) -> str:
    """Return the one layout that `src` has.

    Raises:
        ScanweaveError: It has none or several.
    """
    if src.is_file():
        if annotations_in(src.parent, src):
            return "boxes"
        if holds_reports(src):
            return "reports"
        if src.suffix.lower() in (".csv", ".tsv"):
            return "table"
        if suffix(src) in ARRAY_SUFFIXES:
            return "arrays"
        raise ScanweaveError(
            src, "a file, but no table, .npz, boxes or reports that are known", "Name the folder that holds the studies"
        )
    if not src.is_dir():
        raise ScanweaveError(src, "no such folder or table", "Check the path")
    found = list(_special(src)) or list(_plain(src))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ScanweaveError(src, "no images were found in it", "Name the folder that holds the studies, or a table")
    raise ScanweaveError(
        src, f"could be in the layout {' or '.join(found)}", f"Choose by --layout {found[0]} (or {found[1]})"
    )


def _special(src: Path) -> Iterator[str]:
    if (src / ABOUT).is_file() and (src / "imagesTr").is_dir():
        numbered = any(CHANNEL.fullmatch(stem(parts[-1])) for parts in images(src / "imagesTr"))
        if numbered:
            yield "nnunet"
        elif "training" in read_about(src):
            yield "decathlon"
    subjects = [path for path in src.glob("sub-*") if path.is_dir()]
    if any((subject / kind).is_dir() for subject in subjects for kind in DATATYPES) or any(
        path.is_dir() for subject in subjects for kind in DATATYPES for path in subject.glob(f"ses-*/{kind}")
    ):
        yield "bids"


def _plain(src: Path) -> Iterator[str]:
    files = [path for path in src.iterdir() if path.is_file() and not path.name.startswith(".")]
    if annotations_in(src):
        yield "boxes"
        return
    if pairs_in(src):
        yield "pairs"
        return
    if table_in(src) is not None:
        yield "table"
        return
    if classes_in(src):
        yield "classes"
        return
    if [suffix(path.name) for path in files if suffix(path.name)] == list(ARRAY_SUFFIXES):
        yield "arrays"
        return
    if any(suffix(path.name) in VOLUME_SUFFIXES + FILM_SUFFIXES for path in files):
        yield "flat"
    if any(len(parts) > 1 for parts in images(src)):
        yield "folders"
    if holds_reports(src) and not any(True for _ in images(src)):
        yield "reports"
