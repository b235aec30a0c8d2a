"""An archive of arrays as MedMNIST's: `train_images (N, H, W)`, `train_labels (N, 1)`, and so for `val` and `test`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.array_files import array_shapes, read_array
from scanweave.studies.layouts.folder_pairs import ONLY
from scanweave.studies.layouts.listing import Listing
from scanweave.studies.layouts.names import Named, Names
from scanweave.studies.split_words import PARTS

LABEL = "class"


def list_arrays(src: Path, names: Names) -> Listing:
    """List studies of one image each: `scan:image`, `label:class` (or a finding a column), and the split if given.

    Raises:
        ScanweaveError: Not such an archive, or labels that are not those of its images.
    """
    file = src if src.is_file() else next(iter(sorted(src.glob("*.npz"))))
    shapes, listing = array_shapes(file), Listing("arrays", file.parent)
    named = names.of(ONLY)
    scan = named if isinstance(named, Named) else Named(f"scan:{ONLY}", "the arrays")
    for array in sorted(shapes):
        part, _, kind = array.rpartition("_")
        if kind != "images" or (part and part not in PARTS) or len(shapes[array]) not in (3, 4):
            continue
        labels = _labels(file, f"{part}_labels" if part else "labels", shapes, shapes[array][0])
        width = len(str(shapes[array][0] - 1))
        for k in range(shapes[array][0]):
            row = listing.study(f"{part or ONLY}-{k:0{width}d}", **({"split": PARTS[part]} if part else {}))
            row.update({column: int(values[k]) for column, values in labels.items()})
            listing.add(row, scan, f"{file.name}#{array}/{k}")
    return listing


def _labels(
    file: Path, name: str, shapes: dict[str, tuple[int, ...]], number: int
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return labels by column: one of classes, or one of 0 and 1 a finding."""
    if name not in shapes:
        return {}
    values = read_array(file, name)
    if values.shape[:1] != (number,) or values.ndim > 2 or values.dtype.kind not in "iub":
        words = f"'{name}' has the shape {values.shape} for {number} images"
        raise ScanweaveError(file, words, "Give one whole number an image, or one a finding")
    columns = values.reshape(number, -1).astype(np.int64)
    if columns.shape[1] == 1:
        return {f"label:{LABEL}": columns[:, 0]}
    return {f"label:finding_{k:02d}": columns[:, k] for k in range(columns.shape[1])}
