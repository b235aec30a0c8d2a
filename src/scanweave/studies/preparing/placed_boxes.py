"""Boxes carried along where a preparation moves scans, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scanweave.studies.boxes import Boxes
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.transforms import RigidTransform
from scanweave.wording import count

STILL = 1e-9
"""Largest deviation from the identity of a transform that moves nothing."""


class PlacedBoxes(NamedTuple):
    """The boxes of a study after its scans were moved.

    Attributes:
        boxes: Where they lie now; None: they cannot be carried along.
        moved: Whether they are other than before.
        told: What was done with them.
    """

    boxes: Boxes | None
    moved: bool
    told: str


def place_boxes(
    boxes: Boxes, places: Mapping[str, RigidTransform], grids: Mapping[str, Geometry], reference: str
) -> PlacedBoxes:
    """Move boxes with the scan that they lie on.

    Pixels belong to films, which are not moved. Voxels belong to the scan of their size, RAS millimetres to the
    reference: a file of them does not say on which scan they were drawn. Upright boxes around turned ones are larger.

    Args:
        boxes: Of one study, as they came.
        places: From each scan to where it lies now.
        grids: The grid that each scan came on.
        reference: Name of the scan that the others were brought to.
    """
    if boxes.unit == "pixel" or not len(boxes):
        return PlacedBoxes(boxes, False, "left as they are")
    scan = reference if boxes.unit == "mm" else owner_of(boxes, grids, reference)
    if scan is None:
        size = "unknown" if boxes.size is None else "×".join(map(str, boxes.size))
        return PlacedBoxes(None, False, f"left out: in voxels of an image of size {size}, which no scan here has")
    before = boxes.to_patient(grids[scan])
    matrix = places[scan].matrix
    still = bool(np.abs(matrix - np.eye(4)).max() <= STILL)
    others = [name for name, place in places.items() if name != scan and not place.is_like(places[scan])]
    doubt = f"; those drawn on {', '.join(others)} would lie elsewhere" if others and boxes.unit == "mm" else ""
    if still:
        moved = boxes.unit != "mm"
        words = f"in mm now, where {scan} lies" if moved else f"left where {scan} lies"
        return PlacedBoxes(before, moved, f"{words}{doubt}")
    made = before.moved(matrix)
    growth = made.volumes.sum() / max(before.volumes.sum(), np.finfo(float).tiny) - 1
    turned = f"turned by {places[scan].angle_degrees:.1f}°"
    larger = f"so the upright boxes around them are {100 * growth:.0f} % larger"
    return PlacedBoxes(made, True, f"{count(len(boxes), 'box', 'boxes')} moved with {scan}, {turned}, {larger}{doubt}")


def owner_of(boxes: Boxes, grids: Mapping[str, Geometry], preferred: str) -> str | None:
    """Return the image whose voxels boxes count: the preferred one if it has their size, else the first that has."""
    alike = [name for name, grid in grids.items() if grid.is_placed and grid.shape == boxes.size]
    return preferred if preferred in alike else next(iter(alike), None)
