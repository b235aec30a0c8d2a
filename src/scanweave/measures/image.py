"""Full-reference quality of a volume `(X, Y, Z)` against the real one, by region."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.gradient_similarity import deviation, similarity_maps
from scanweave.measures.regions import BoolArray, Box, checked_region, differing_box, grown
from scanweave.measures.structural_similarity import EDGE, WINDOW, similarity_map
from scanweave.measures.threads import in_threads

FloatArray = NDArray[np.float64]

PSNR_CAP = 100.0
"""PSNR [dB] of identical images, and the most that is ever returned: infinity is true but ruins every mean."""


def image_quality(
    prediction: ArrayLike, reference: ArrayLike, regions: Mapping[str, ArrayLike], data_range: float
) -> dict[str, dict[str, float]]:
    """Measure a prediction in several regions; each map is computed once.

    Args:
        prediction: Volume `(X, Y, Z)`.
        reference: The real volume, on the same grid and in the same units.
        regions: Masks `(X, Y, Z)` by name, such as `named_regions` gives.
        data_range: Span of possible intensities, such as 2 for images in [−1, 1].

    Returns:
        For each region `{"psnr": [dB], "ssim", "nmse", "gmsd"}`; higher is better for the first two.
        `gmsd` is NaN where a region is too small to have one.

    Raises:
        ScanweaveError: Shapes differ, a value is not finite, a region is empty, or a volume is too thin for SSIM.
    """
    prediction, reference = _checked(prediction, reference, data_range)
    masks = {name: checked_region(name, region, reference.shape) for name, region in regions.items()}
    differing = differing_box(prediction, reference)
    structure = _ssim_map(prediction, reference, data_range, differing)
    edges = similarity_maps(prediction, reference, data_range, differing)
    errors = np.zeros(()) if differing is None else np.square(prediction[differing] - reference[differing])
    squares = np.square(reference)

    def measured(region: BoolArray) -> dict[str, float]:
        error = 0.0 if differing is None else float(errors.sum(where=region[differing]))
        return {
            "psnr": float(decibels(error / np.count_nonzero(region), data_range)),
            "ssim": _ssim(structure, region),
            "nmse": error / _energy(squares, region),
            "gmsd": deviation(edges, region),
        }

    return dict(zip(masks, in_threads(measured, masks.values()), strict=True))


def psnr(prediction: ArrayLike, reference: ArrayLike, data_range: float, region: ArrayLike | None = None) -> float:
    """Return the peak signal-to-noise ratio 10 log₁₀(R² / MSE) [dB] over `region`, at most `PSNR_CAP`."""
    prediction, reference = _checked(prediction, reference, data_range)
    mean = np.mean(np.square(prediction - reference)[_region(region, reference)])
    return float(decibels(mean, data_range))


def nmse(prediction: ArrayLike, reference: ArrayLike, region: ArrayLike | None = None) -> float:
    """Return the squared error over `region` as a share of the reference's energy: Σ(p − r)² / Σr²."""
    prediction, reference = _checked(prediction, reference, 1.0)
    inside = _region(region, reference)
    return float(np.sum(np.square(prediction - reference)[inside])) / _energy(np.square(reference), inside)


def ssim(prediction: ArrayLike, reference: ArrayLike, data_range: float, region: ArrayLike | None = None) -> float:
    """Return the structural similarity (Wang et al. 2004) in 3D, its map averaged over `region`.

    As in scikit-image, voxels whose window leaves the volume do not count (unless `region` has no others). Variances
    are mean squares less squared means, so all is float64 whatever the volumes are: in float32 an offset eats them.
    """
    prediction, reference = _checked(prediction, reference, data_range)
    differing = differing_box(prediction, reference)
    return _ssim(_ssim_map(prediction, reference, data_range, differing), _region(region, reference))


def gmsd(prediction: ArrayLike, reference: ArrayLike, data_range: float, region: ArrayLike | None = None) -> float:
    """Return the gradient magnitude similarity deviation (Xue et al. 2014), mean over axial slices; lower is better.

    By its authors' convention, which is piq's: beyond the image all is 0, so give intensities whose air is 0.
    """
    prediction, reference = _checked(prediction, reference, data_range)
    edges = similarity_maps(prediction, reference, data_range, differing_box(prediction, reference))
    return deviation(edges, _region(region, reference))


def decibels(error: ArrayLike, data_range: ArrayLike) -> NDArray[np.float64]:
    """Convert mean squared errors to PSNR 10 log₁₀(R² / MSE) [dB], at most `PSNR_CAP`."""
    square = np.square(np.asarray(data_range, np.float64))
    found: NDArray[np.float64] = 10 * np.log10(square / np.maximum(error, square / 10 ** (PSNR_CAP / 10)))
    return found


def _energy(squares: FloatArray, region: BoolArray) -> float:
    energy = float(squares.sum(where=region))
    if energy == 0:
        raise ScanweaveError(
            "reference", "it is zero in the whole region", "Check that the scan and its mask belong together"
        )
    return energy


def _ssim(structure: FloatArray, region: BoolArray) -> float:
    interior = (slice(EDGE, -EDGE),) * 3
    inside, values = region[interior], structure[interior]
    return float(values.mean(where=inside) if inside.any() else structure.mean(where=region))


def _ssim_map(prediction: FloatArray, reference: FloatArray, data_range: float, differing: Box | None) -> FloatArray:
    """Return the map; only near the voxels that differ is there something to compute."""
    if min(reference.shape) < WINDOW:
        raise ScanweaveError(
            "reference",
            f"its shape {reference.shape} is thinner than the SSIM window of {WINDOW} voxels",
            "Measure whole volumes, not single slices or slabs",
        )
    structure = np.ones(reference.shape)  # where both are equal in the whole window
    if differing is not None:
        near = grown(differing, EDGE, reference.shape)
        structure[near] = similarity_map(prediction, reference, data_range, near)
    return structure


def _region(region: ArrayLike | None, reference: FloatArray) -> BoolArray:
    if region is None:
        return np.ones(reference.shape, dtype=bool)
    return checked_region("region", region, reference.shape)


def _checked(prediction: ArrayLike, reference: ArrayLike, data_range: float) -> tuple[FloatArray, FloatArray]:
    """Return both as float64: in float32 squares and their sums lose what an offset leaves of them."""
    prediction, reference = np.asarray(prediction, np.float64), np.asarray(reference, np.float64)
    if not (np.isfinite(data_range) and data_range > 0):
        raise ScanweaveError("data_range", f"it is {data_range}", "Give the span of possible intensities, such as 2.0")
    if prediction.shape != reference.shape or reference.ndim != 3:
        raise ScanweaveError(
            "prediction",
            f"its shape is {prediction.shape}, the reference's {reference.shape}",
            "Give two volumes (X, Y, Z) on one grid",
        )
    for name, volume in (("prediction", prediction), ("reference", reference)):
        if not np.isfinite(volume).all():
            raise ScanweaveError(name, "it holds NaN or infinity", "Mask or repair those voxels before measuring")
    return prediction, reference
