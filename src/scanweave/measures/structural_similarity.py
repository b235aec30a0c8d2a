"""Structural similarity in 3D: that of scikit-image but for rounding, plane by plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.measures.regions import Box, grown
from scanweave.measures.threads import in_threads

FloatArray = NDArray[np.float64]

WINDOW = 7
"""Side of the cubic uniform window [voxels], as in the Seq2Seq paper's evaluation."""
EDGE = WINDOW // 2
VOXELS = WINDOW**3
LUMINANCE, CONTRAST = 0.01, 0.03
"""Constants K1 and K2 of the paper."""
RENEWED = 8
"""Planes after which sums over a window are added up anew: what a bright voxel rounds away would else stay."""
SLAB = 32
"""Planes that a core computes at once: what it holds of them in float64 would else fill the memory."""


def similarity_map(prediction: FloatArray, reference: FloatArray, data_range: float, box: Box) -> FloatArray:
    """Return the structural similarity of each voxel of a box (Wang et al., IEEE TIP 13(4), 2004, eq. 13).

    SSIM = (2 μ_p μ_r + C1) (2 σ_pr + C2) / ((μ_p² + μ_r² + C1) (σ_p² + σ_r² + C2)) over a uniform window, with sample
    covariances; beyond the volume it is mirrored, both as in scikit-image.

    Args:
        prediction: Volume `(X, Y, Z)`, no axis shorter than `WINDOW`.
        reference: The real one.
        data_range: Span of possible intensities R; C1 = (K1 R)², C2 = (K2 R)².
        box: Which voxels.

    Returns:
        Their values, of the shape of the box.
    """
    first, rest = box[0], box[1:]
    slabs = [slice(start, min(start + SLAB, first.stop)) for start in range(first.start, first.stop, SLAB)]

    def compute(planes: slice) -> FloatArray:
        here = (planes, *rest)
        return _of_planes(_with_edge(prediction, here), _with_edge(reference, here), data_range)

    return np.concatenate(in_threads(compute, slabs))


def _with_edge(volume: FloatArray, box: Box) -> FloatArray:
    """Return a box with what its windows reach around it, mirrored where the volume ends."""
    inside = grown(box, EDGE, volume.shape)
    lacking = [
        (EDGE - (own.start - there.start), EDGE - (there.stop - own.stop))
        for own, there in zip(box, inside, strict=True)
    ]
    return np.pad(volume[inside], lacking, mode="symmetric") if np.any(lacking) else volume[inside]


def _of_planes(prediction: FloatArray, reference: FloatArray, data_range: float) -> FloatArray:
    """Return the similarity where the window lies within both blocks `(X, Y, Z)`, plane by plane.

    The sums over a window move from plane to plane. A plane's sums stay in the processor's cache, which is what makes
    this fast. Second moments are taken about the mean of the block: of squares of a large offset little would be left.
    """
    offset = float(reference.mean())
    p, r = prediction - offset, reference - offset
    terms = np.stack([p, r, p * p + r * r, p * r], axis=1)
    sums = np.empty(0)
    found = np.empty(tuple(size - 2 * EDGE for size in reference.shape))
    for plane in range(len(found)):
        if plane % RENEWED:
            sums += terms[plane + 2 * EDGE]
            sums -= terms[plane - 1]
        else:
            sums = terms[plane : plane + WINDOW].sum(axis=0)
        mean_p, mean_r, squares, product = _window_sums(_window_sums(sums, 2), 1) / VOXELS
        both = mean_p * mean_r
        energy = mean_p**2 + mean_r**2
        likeness = 2 * (product - both) * (VOXELS / (VOXELS - 1)) + (CONTRAST * data_range) ** 2
        spread = (squares - energy) * (VOXELS / (VOXELS - 1)) + (CONTRAST * data_range) ** 2
        mean_p += offset
        mean_r += offset
        level = 2 * mean_p * mean_r + (LUMINANCE * data_range) ** 2
        found[plane] = level * likeness / ((mean_p**2 + mean_r**2 + (LUMINANCE * data_range) ** 2) * spread)
    return found


def _window_sums(values: FloatArray, axis: int) -> FloatArray:
    """Return the sums over `WINDOW` = 4 + 2 + 1 neighbours along an axis, shorter by twice `EDGE`."""
    size = values.shape[axis]

    def shifted(array: FloatArray, start: int, lack: int) -> FloatArray:
        return array[(*[slice(None)] * axis, slice(start, start + size - lack))]

    two = shifted(values, 0, 1) + shifted(values, 1, 1)
    four = shifted(two, 0, 3) + shifted(two, 2, 3)
    return shifted(four, 0, 6) + shifted(two, 4, 6) + shifted(values, 6, 6)
