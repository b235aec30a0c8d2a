"""Judge the boxes of a study against its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scanweave.studies.box_repairs import repair_boxes
from scanweave.studies.boxes import Boxes
from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan


def fit_boxes(boxes: Boxes, scans: Mapping[str, Scan]) -> tuple[Boxes | None, tuple[Finding, ...]]:
    """Return boxes with the size of their image, repaired for it, and what was found; None: refused.

    Pixels belong to the films of the study, voxels to any of its images, and boxes in RAS mm must touch one of them.

    Args:
        boxes: Of one study.
        scans: Its images by name; without any, nothing is judged.
    """
    if boxes.unit == "mm":
        grids = [scan.geometry for scan in scans.values() if scan.geometry.is_placed]
        lost = _outside_all(boxes, grids) if grids else ()
        return (None if lost else boxes), tuple(map(_lost, lost))
    shapes = [scan.geometry.shape for scan in scans.values() if boxes.unit == "voxel" or scan.geometry.shape[2] == 1]
    sizes = list(dict.fromkeys(tuple(shape[: boxes.dimensions]) for shape in shapes))
    if not sizes:
        return boxes, ()
    if boxes.size is None and len(sizes) > 1:
        words = f"the size of their image is unknown, and the images here are of {_written(sizes)}"
        return boxes, (Finding("box-size", "suspect", words, "Say the size beside the boxes"),)
    if boxes.size is not None and boxes.size not in sizes:
        words = f"boxes of an image of {_written([boxes.size])}, and the images here are of {_written(sizes)}"
        return None, (Finding("box-size", "refused", words, "Check that the boxes belong to this image"),)
    return repair_boxes(replace(boxes, size=boxes.size or sizes[0]))


def _outside_all(boxes: Boxes, grids: list[Geometry]) -> tuple[int, ...]:
    """Return the numbers of the boxes that touch none of the grids."""
    touches = np.zeros(len(boxes), dtype=bool)
    for grid in grids:
        corners = boxes.to_grid(grid).corners
        touches |= ((corners[:, 1] > 0) & (corners[:, 0] < np.array(grid.shape))).all(axis=1)
    return tuple(np.flatnonzero(~touches).tolist())


def _lost(number: int) -> Finding:
    words = f"box {number + 1}: lies outside of all images of the study"
    return Finding("box-outside", "refused", words, "Check that its corners are in RAS mm, and of this study")


def _written(sizes: list[tuple[int, ...]]) -> str:
    return " and ".join("×".join(map(str, size)) for size in sizes)
