"""Which voxels show the patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

FLAT_SHARE = 0.2
"""An image of which at least this share holds one and the same lowest value, or 0, has had its background removed."""


def foreground(volume: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Voxels of `volume` `(X, Y, Z)` that show the patient.

    Where the background was removed (skull-stripped, masked), everything that differs from it; else the largest
    connected part above half of Otsu's threshold.
    """
    finite = np.isfinite(volume)
    if not finite.any():
        return finite
    lowest = volume[finite].min()
    for background in (0.0, lowest):
        flat = volume == background
        if flat.mean() >= FLAT_SHARE:
            return ~flat & finite
    sample = volume[finite][:: max(1, finite.sum() // 1_000_000)]
    if sample.min() == sample.max():
        return np.zeros_like(finite)
    bright = (volume > lowest + 0.5 * (threshold_otsu(sample) - lowest)) & finite
    parts, count = ndimage.label(bright)
    if count > 1:
        bright = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(bright)


def bounding_box(mask: NDArray[np.bool_], margin: int = 0) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and last + 1 index `(3,)` of the true voxels, grown by `margin`, within the array; all of it if none is."""
    shape = np.array(mask.shape)
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return np.zeros(3, dtype=int), shape
    start = np.array([axis.start for axis in boxes[0]])
    stop = np.array([axis.stop for axis in boxes[0]])
    return np.maximum(start - margin, 0), np.minimum(stop + margin, shape)
