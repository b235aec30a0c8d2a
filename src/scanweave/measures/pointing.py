"""The pointing game: whether a map is highest on what it should show (Zhang et al. 2016, §4.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import checked_numbers
from scanweave.measures.surfaces import checked_masks


def pointing_hit(values: ArrayLike, target: ArrayLike, margin: float = 0.0) -> float:
    """Return 1 if the highest point of a map lies on the target, else 0; of several highest ones the share that does.

    So a map that is the same everywhere scores what a blind guess would, and not by where its first point lies. Means
    and intervals over patients: `bootstrap.bootstrap`. Show beside it how often the middle of the image hits: lesions
    lie there more often than elsewhere.

    Args:
        values: Map `(X, Y)` or `(X, Y, Z)`, high where the finding should be.
        target: Mask of the finding, of the same shape (of boxes: `studies.box_overlap.boxes_to_mask`).
        margin: Distance from the target that still counts as on it [voxel]; Zhang et al. take 15 pixels.

    Raises:
        ScanweaveError: The shapes differ, the map holds NaN or infinity, the target is empty or no mask, or the margin
            is negative.
    """
    heights = checked_numbers("values", values)
    mask = checked_masks(target, target)[0]
    if heights.shape != mask.shape:
        raise ScanweaveError("target", f"of shape {mask.shape} for a map of {heights.shape}", "Put both on one grid")
    if not np.isfinite(heights).all():
        raise ScanweaveError("values", "it holds NaN or infinity", "Leave this map out, and say so")
    if not mask.any():
        raise ScanweaveError("target", "it is empty", "Play only where the finding is there")
    if margin < 0:
        raise ScanweaveError("margin", f"{margin}", "Give 0 or more voxels")
    near = distance_transform_edt(~mask) <= margin
    return float(near[heights == heights.max()].mean())
