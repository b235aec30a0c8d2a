"""Compare boxes with each other and with masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes, Unit


def box_iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of every pair, `(N, M)` in [0, 1]; two boxes without extent have 0.

    Raises:
        ScanweaveError: The units differ.
    """
    if first.unit != second.unit:
        raise ScanweaveError("boxes", f"{first.unit} beside {second.unit}", "Bring both to one unit first")
    start = np.maximum(first.corners[:, None, 0], second.corners[None, :, 0])
    stop = np.minimum(first.corners[:, None, 1], second.corners[None, :, 1])
    common = np.clip(stop - start, 0, None).prod(axis=-1)
    union = first.volumes[:, None] + second.volumes[None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def mask_to_boxes(mask: NDArray[np.generic], names: Mapping[int, str], least_voxels: int = 1) -> Boxes:
    """Return one box around each connected component of each named label of a mask.

    Args:
        mask: `(X, Y)`, `(X, Y, 1)` (a film, boxes in pixels) or `(X, Y, Z)` (boxes in voxels), whole numbers.
        names: Class name of each label; labels without one are left out.
        least_voxels: Components of fewer voxels are left out.

    Components touch by faces, edges or corners (8 or 26 neighbours).
    """
    flat = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    corners, labels = [], []
    for value, name in names.items():
        parts, number = ndimage.label(flat == value, structure=np.ones((3,) * flat.ndim))
        voxels = np.bincount(parts.ravel(), minlength=number + 1)[1:]
        for part, count in zip(ndimage.find_objects(parts), voxels, strict=True):
            if count >= least_voxels:
                corners.append([[axis.start for axis in part], [axis.stop for axis in part]])
                labels.append(name)
    unit: Unit = "pixel" if flat.ndim == 2 else "voxel"
    return Boxes(np.array(corners, dtype=np.float64), tuple(labels), unit, size=flat.shape)


def boxes_to_mask(boxes: Boxes, values: Mapping[str, int]) -> NDArray[np.int32]:
    """Return a label map of `boxes.size` in which every voxel whose centre lies in a box has the value of its class.

    Where boxes overlap the smaller one shows; classes without a value are left out.

    Raises:
        ScanweaveError: The boxes are in mm, or the size of the image is unknown.
    """
    if boxes.size is None:
        raise ScanweaveError("boxes", "the size of the image is unknown", "Use to_grid for boxes in mm, else give size")
    mask = np.zeros(boxes.size, dtype=np.int32)
    # A voxel's centre lies half a voxel behind its first edge.
    edges = np.ceil(np.clip(boxes.corners, 0, np.array(boxes.size)) - 0.5).astype(int)
    for number in np.argsort(-boxes.volumes, kind="stable"):
        if boxes.labels[number] in values:
            start, stop = edges[number]
            mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = values[boxes.labels[number]]
    return mask
