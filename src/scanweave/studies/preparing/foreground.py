"""Voxels that show the patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLAT_SHARE = 0.2
"""An image of which at least this share holds one and the same lowest value, or 0, has had its background removed."""


def removed_background(volume: NDArray[np.floating]) -> float | None:
    """Return the one value that stands where the background was removed (skull-stripped); None where it was not."""
    finite = np.isfinite(volume)
    least = max(1.0, FLAT_SHARE * int(finite.sum()))
    candidates = (0.0, float(np.min(volume, where=finite, initial=np.inf)))
    return next((value for value in candidates if int((volume == value).sum()) >= least), None)


def foreground(volume: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return voxels `(X, Y, Z)` of a volume that show the patient; NaN, what a scan does not cover, does not.

    Where the background was removed, everything that differs from it; else the largest connected part above half of
    Otsu's threshold. Of a series `(X, Y, Z, T)` its mean is looked at: the patient lies in one place in all frames.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    volume = volume if volume.ndim == 3 else volume.mean(axis=3)
    finite = np.isfinite(volume)
    if not finite.any():
        return finite
    background = removed_background(volume)
    if background is not None:
        return (volume != background) & finite
    lowest = volume[finite].min()
    sample = volume[finite][:: max(1, finite.sum() // 1_000_000)]
    if sample.min() == sample.max():
        return np.zeros_like(finite)
    bright = (volume > lowest + 0.5 * (threshold_otsu(sample) - lowest)) & finite
    parts, count = ndimage.label(bright)
    if count > 1:
        bright = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(bright)


def bounding_box(mask: ArrayLike, margin: int = 0) -> tuple[slice, ...]:
    """Return the smallest box of all true voxels, grown by `margin`, within the array; all of it if none is true."""
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return tuple(slice(0, size) for size in mask.shape)
    sides = []
    for axis, size in enumerate(mask.shape):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(slice(max(int(hit[0]) - margin, 0), min(int(hit[-1]) + 1 + margin, size)))
    return tuple(sides)
