"""Gradient magnitude similarity: a perceptual index that needs no weights.

The convention is that of the authors' code, which piq follows: beyond the image all is 0, also for the average of an
odd last row and for the gradients of the border. Mirrored borders would make figures of whole images about a tenth
higher, which could then not be compared with published ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.measures.regions import Box, grown
from scanweave.measures.threads import in_threads

FloatArray = NDArray[np.float64]

STABILITY = 170 / 255**2
"""The paper's constant c = 170 for 8-bit images, as a share of the squared data range."""

MIN_PIXELS = 16
"""A slice with fewer pixels of the region (after halving) has no meaningful spread and is left out."""


def similarity_maps(
    prediction: FloatArray, reference: FloatArray, data_range: float, differing: Box | None
) -> FloatArray:
    """Return the gradient magnitude similarity of every axial slice, 1 where the local edges agree.

    GMS = (2 m_p m_r + c) / (m_p² + m_r² + c), with m the Prewitt gradient magnitude of the image after 2 × 2
    averaging and halving. Xue, Zhang, Mou & Bovik, Gradient Magnitude Similarity Deviation, IEEE TIP 23(2), 2014,
    eqs. 3–5.

    Args:
        prediction: Volume `(X, Y, Z)`.
        reference: Volume `(X, Y, Z)`.
        data_range: Span of possible intensities; c scales with its square.
        differing: Box outside which both are equal; None: they are.

    Returns:
        Map `(⌈X/2⌉, ⌈Y/2⌉, Z)`.
    """
    x, y, z = reference.shape
    similarity = np.ones((-(-x // 2), -(-y // 2), z))  # where both are equal in the whole neighbourhood
    if differing is None:
        return similarity
    halved = (*(slice(side.start // 2, -(-side.stop // 2)) for side in differing[:2]), differing[2])
    kept, read = (grown(halved, reach, similarity.shape)[:2] for reach in (1, 2))
    slab = (*(slice(2 * side.start, 2 * side.stop) for side in read), differing[2])
    predicted, real = in_threads(_gradient, (prediction[slab], reference[slab]))
    c = STABILITY * data_range**2
    found = (2 * predicted * real + c) / (predicted**2 + real**2 + c)
    inner = tuple(slice(k.start - r.start, k.stop - r.start) for k, r in zip(kept, read, strict=True))
    similarity[(*kept, differing[2])] = found[inner]
    return similarity


def deviation(similarity: FloatArray, region: NDArray[np.bool_]) -> float:
    """Return the spread of a similarity map inside `region` `(X, Y, Z)`, averaged over the axial slices it meets.

    Xue et al. 2014, eq. 7, pooled over the region in place of the whole image. A halved pixel belongs to the region
    if at least half of it does, or of what of it lies in the image.

    Returns:
        The deviation, 0 for identical edges; NaN where no slice has `MIN_PIXELS` pixels of the region.
    """
    inside = 2 * _block_sums(region) >= _block_sums(np.ones_like(region[..., :1]))
    count = inside.sum(axis=(0, 1))
    used = count >= MIN_PIXELS
    if not used.any():
        return float("nan")
    inside, values, count = inside[..., used], similarity[..., used], count[used]
    mean = values.sum(axis=(0, 1), where=inside) / count
    variance = np.square(values - mean).sum(axis=(0, 1), where=inside) / count
    return float(np.sqrt(variance).mean())


def halve(volume: NDArray[Any]) -> FloatArray:
    """Average 2 × 2 blocks of every axial slice; to an odd last row or column zeros are added."""
    return _block_sums(volume) / 4


def _block_sums(volume: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of those blocks; of booleans, how many are true."""
    odd = [(0, size % 2) for size in volume.shape[:2]]
    even = np.pad(volume, [*odd, (0, 0)]) if any(more for _, more in odd) else volume
    parts = even.view(np.uint8) if even.dtype == bool else even
    rows = parts[0::2] + parts[1::2]
    total: NDArray[Any] = rows[:, 0::2] + rows[:, 1::2]
    return total


def _gradient(volume: FloatArray) -> FloatArray:
    small = halve(volume)
    parts = [
        ndimage.correlate1d(
            ndimage.correlate1d(small, [-1, 0, 1], along, mode="constant"), [1 / 3] * 3, across, mode="constant"
        )
        for along, across in ((0, 1), (1, 0))
    ]
    magnitude: FloatArray = np.hypot(*parts)
    return magnitude
