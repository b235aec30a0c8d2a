"""Sharpness and noise of a reconstructed slice whose truth is known.

Both follow from the error and the truth of the same slice, so that no phantom of its own is needed and non-linear
reconstructions are measured on what they are used for.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scanweave.measures.slices import checked_pair

Array = NDArray[np.float64]

EDGE_QUANTILE = 0.9
"""Quantile of the truth's gradient above which a pixel belongs to an edge."""
EDGE_REACH_PIXELS = 4
"""Pixels around an edge that its transfer is measured in."""


def edge_mtf50(made: ArrayLike, truth: ArrayLike, pixel: float) -> float:
    """Return the frequency [1/mm] at which edges are transferred with half their contrast.

    The transfer at a frequency is Re Σ M·T* / Σ|T|², with M and T the spectra of the gradients of the slice and of the
    truth around the truth's strongest edges, summed over rings; noise is not correlated with the truth and averages
    out. It is taken relative to the lowest ring. The truth is averaged over pixels itself: 1 means as sharp as the grid
    allows. A transfer that nowhere falls to one half gives the Nyquist frequency.

    Args:
        made: The slice `(H, W)`.
        truth: What it should be.
        pixel: Side of a pixel [mm].

    Raises:
        ScanweaveError: Shapes differ or a value is not finite.
    """
    made, truth = checked_pair(made, truth)
    steepness = np.hypot(*np.gradient(ndimage.gaussian_filter(truth, 1.0)))
    near = ndimage.binary_dilation(steepness > np.quantile(steepness, EDGE_QUANTILE), iterations=EDGE_REACH_PIXELS)
    window = ndimage.gaussian_filter(near.astype(np.float64), 2.0)
    shared, total = np.zeros(truth.shape), np.zeros(truth.shape)
    for axis in (0, 1):
        spectra = [np.fft.fft2(window * np.gradient(image, axis=axis)) for image in (made, truth)]
        shared += (spectra[0] * spectra[1].conj()).real
        total += np.abs(spectra[1]) ** 2
    centres, rings = _rings(truth.shape, pixel)
    power = np.array([total[ring].sum() for ring in rings])
    transfer = np.array([shared[ring].sum() for ring in rings]) / np.maximum(power, 1e-300)
    relative = transfer / max(transfer[0], 1e-12)
    below = np.flatnonzero(relative < 0.5)
    if not len(below):
        return 0.5 / pixel
    last = int(below[0])
    if last == 0:
        return float(centres[0])
    return float(np.interp(-0.5, -relative[last - 1 : last + 1], centres[last - 1 : last + 1]))


def noise_power(error: ArrayLike, region: NDArray[np.bool_], pixel: float) -> tuple[Array, Array]:
    """Return frequencies [1/mm] and the noise power [value² mm²] of the error of a slice within a region.

    The mean over the region is taken off and its edge is softened, so that the region's shape hardly leaks in.

    Args:
        error: Slice minus truth, `(H, W)`.
        region: Where it is looked at.
        pixel: Side of a pixel [mm].
    """
    values: Array = np.asarray(error, np.float64)
    window = ndimage.gaussian_filter(region.astype(np.float64), 2.0) * region
    total = float((window**2).sum())
    if not total:
        return np.zeros(0), np.zeros(0)
    mean = float((window * values).sum() / window.sum())
    spectrum = np.abs(np.fft.fft2(window * (values - mean))) ** 2 * pixel**2 / total
    centres, rings = _rings(values.shape, pixel)
    return centres, np.array([spectrum[ring].mean() for ring in rings])


def noise_summary(error: ArrayLike, region: NDArray[np.bool_], pixel: float) -> dict[str, float]:
    """Return `{"noise": standard deviation, "noise_frequency": mean frequency of the noise power [1/mm]}`.

    The mean weighs each ring by its area. Both are NaN in an empty region.
    """
    frequencies, power = noise_power(error, region, pixel)
    weights = power * frequencies
    if not weights.sum():
        return {"noise": float("nan"), "noise_frequency": float("nan")}
    deviation = float(np.asarray(error, np.float64)[region].std())
    return {"noise": deviation, "noise_frequency": float((weights * frequencies).sum() / weights.sum())}


def _rings(shape: tuple[int, ...], pixel: float) -> tuple[Array, list[NDArray[np.bool_]]]:
    """Return rings of equal width from above 0 to the Nyquist frequency: their middle [1/mm] and their pixels."""
    rows, columns = (np.fft.fftfreq(count, pixel) for count in shape)
    radius = np.hypot(rows[:, None], columns[None])
    count = min(shape) // 4
    edges = np.linspace(0, 0.5 / pixel, count + 1)
    rings = [(radius > low) & (radius <= high) for low, high in pairwise(edges)]
    return (edges[:-1] + edges[1:]) / 2, rings
