"""Quality of a reconstructed slice `(H, W)` against its truth, with a range that is fixed beforehand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.metrics import structural_similarity

from scanweave.errors import ScanweaveError
from scanweave.measures.image import decibels

Array = NDArray[np.float64]

WINDOW = 7
"""Side of the uniform SSIM window [pixels]."""


def slice_quality(made: ArrayLike, truth: ArrayLike, span: float) -> dict[str, float]:
    """Return `{"psnr": [dB], "ssim", "rmse": [unit of the images]}` over the whole slice.

    Args:
        made: The slice.
        truth: What it should be.
        span: Range of PSNR and SSIM, a constant of the study: never the maximum of either image.

    Raises:
        ScanweaveError: Shapes differ, a value is not finite, the range is not positive, or a side is below `WINDOW`.
    """
    made, truth = checked_pair(made, truth)
    if not (np.isfinite(span) and span > 0):
        raise ScanweaveError("span", f"it is {span}", "Give the range of possible values")
    if min(truth.shape) < WINDOW:
        raise ScanweaveError("truth", f"its shape {truth.shape} is below the SSIM window", "Measure whole slices")
    error = float(np.mean((made - truth) ** 2))
    similar = structural_similarity(made, truth, win_size=WINDOW, data_range=span)
    return {"psnr": float(decibels(error, span)), "ssim": float(similar), "rmse": error**0.5}


def contrast_to_noise(image: ArrayLike, inside: NDArray[np.bool_], around: NDArray[np.bool_]) -> float:
    """Return (mean inside − mean around) / standard deviation around; NaN where a region has fewer than 8 pixels."""
    values: Array = np.asarray(image, np.float64)
    if inside.sum() < 8 or around.sum() < 8:
        return float("nan")
    noise = float(values[around].std())
    return float((values[inside].mean() - values[around].mean()) / noise) if noise else float("nan")


def checked_pair(made: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    """Return two slices as float64.

    Raises:
        ScanweaveError: They are no slices of one shape, or hold values that are not finite.
    """
    pair: tuple[Array, Array] = (np.asarray(made, np.float64), np.asarray(truth, np.float64))
    if pair[0].shape != pair[1].shape or pair[1].ndim != 2:
        raise ScanweaveError("made", f"its shape is {pair[0].shape}, the truth's {pair[1].shape}", "Give (H, W) twice")
    for name, values in zip(("made", "truth"), pair, strict=True):
        if not np.isfinite(values).all():
            raise ScanweaveError(name, "holds NaN or infinity", "Repair it before measuring")
    return pair
