"""Boxes as images that lie over a scan: their edges, a number a class."""

from __future__ import annotations

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.scan import Scan


def box_image(boxes: Boxes, scan: Scan) -> Scan:
    """Return the edges of boxes on the grid of a scan: 1 for the first class, 2 for the second …, 0 elsewhere.

    Args:
        boxes: Of the study.
        scan: That they lie on, of a study of one film or volume.

    Raises:
        ScanweaveError: They lie on another grid.
    """
    own = boxes.to_grid(scan.geometry) if boxes.unit == "mm" else boxes
    shape = scan.geometry.shape
    if own.size is not None and tuple(own.size) != tuple(shape[: own.dimensions]):
        raise ScanweaveError("boxes", "lie on another grid than this scan", "Choose the scan that they were drawn on")
    made = np.zeros(shape, np.int16)
    classes = list(dict.fromkeys(own.labels))
    for corners, label in zip(own.corners, own.labels, strict=True):
        start, stop = (np.rint(corners[0]).astype(int), np.rint(corners[1]).astype(int))
        place = tuple(
            slice(max(0, int(low)), min(size, max(int(high), int(low) + 1)))
            for low, high, size in zip(start, stop, shape, strict=False)
        )
        block = made[place]
        if block.size:
            edge = np.ones(block.shape[:2], bool)
            edge[1:-1, 1:-1] = False
            block[edge] = classes.index(label) + 1
    return Scan.of(made, scan.geometry.affine)
