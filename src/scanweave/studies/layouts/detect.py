"""Detection of the layout of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.image_names import ARRAY_SUFFIXES, FILM_SUFFIXES, VOLUME_SUFFIXES, suffix
from scanweave.studies.layouts.array_archive import list_arrays
from scanweave.studies.layouts.bids import is_bids, list_bids
from scanweave.studies.layouts.box_folders import annotations_in, list_boxes
from scanweave.studies.layouts.class_folders import classes_in, list_classes
from scanweave.studies.layouts.datasets import ABOUT, dataset_layout, list_decathlon, list_nnunet
from scanweave.studies.layouts.folder_pairs import list_pairs, pairs_in
from scanweave.studies.layouts.folders import list_flat, list_folders
from scanweave.studies.layouts.listing import Listing, images
from scanweave.studies.layouts.names import Names
from scanweave.studies.layouts.report_folders import holds_reports, list_reports
from scanweave.studies.layouts.sequence_folders import list_sequences, sequences_in
from scanweave.studies.layouts.table import list_table, table_in
from scanweave.studies.layouts.unread_files import find_unread, holds_series
from scanweave.studies.tables.reading import is_table

DICOM = "dicom"


def list_dicom(src: Path, names: Names) -> Listing:
    """Refuse to list DICOM files beside other sources: they are written as NIfTI, so they are a cohort of their own.

    Raises:
        ScanweaveError: Always.
    """
    raise ScanweaveError(src, "holds DICOM series, which are imported apart", "Name it alone: cohort import SRC")


LAYOUTS: dict[str, Callable[[Path, Names], Listing]] = {
    "nnunet": list_nnunet,
    "decathlon": list_decathlon,
    "bids": list_bids,
    "folders": list_folders,
    "sequences": list_sequences,
    "flat": list_flat,
    "boxes": list_boxes,
    "pairs": list_pairs,
    "classes": list_classes,
    "arrays": list_arrays,
    "reports": list_reports,
    "table": list_table,
    DICOM: list_dicom,
}
"""Every layout by the name that `--layout` takes."""


def detect(src: Path, names: Names | None = None) -> str:
    """Return the one layout that `src` has.

    Args:
        src: A folder or file.
        names: What names of files and folders mean; the rules table if not given.

    Raises:
        ScanweaveError: It has none or several.
    """
    if src.is_file():
        if annotations_in(src.parent, src):
            return "boxes"
        if holds_reports(src):
            return "reports"
        if is_table(src):
            return "table"
        if suffix(src) in ARRAY_SUFFIXES:
            return "arrays"
        raise ScanweaveError(
            src, "a file, but no table, .npz, boxes or reports that are known", "Name the folder that holds the studies"
        )
    if not src.is_dir():
        raise ScanweaveError(src, "no such folder or table", "Check the path")
    found = list(_special(src))
    if not found:
        found = [DICOM] if holds_series(src) else list(_plain(src, names))
    if len(found) == 1:
        return found[0]
    if not found:
        there = "".join(f"; {line}" for line in list(find_unread(src, ()).lines())[:1])
        raise ScanweaveError(
            src, f"no images were found in it{there}", "Name the folder that holds the studies, or a table"
        )
    raise ScanweaveError(
        src, f"could be in the layout {' or '.join(found)}", f"Choose by --layout {found[0]} (or {found[1]})"
    )


def detects_dicom(src: Path) -> bool:
    """Tell whether a folder holds DICOM series, and no data set in a layout of its own."""
    return not list(_special(src)) and holds_series(src)


def _special(src: Path) -> Iterator[str]:
    stated = dataset_layout(src) if (src / ABOUT).is_file() and (src / "imagesTr").is_dir() else None
    if stated:
        yield stated
    if is_bids(src):
        yield "bids"


def _plain(src: Path, names: Names | None) -> Iterator[str]:
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
    if sequences_in(src, names or Names()):
        yield "sequences"
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
