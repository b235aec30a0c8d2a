"""Undersampled Fourier sampling of magnetic resonance images, as an operator of deepinv (group `[ct]`).

Complex images and k-space are `(B, 2, H, W)` with real and imaginary part as channels, k-space with its zero frequency
at (H // 2, W // 2). Radial sampling is by the grid points along spokes; for samples off the grid take deepinv's
`NonCartesianMRI`, which wraps the library mri-nufft.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.external import require

require("deepinv.physics", "ct")
from deepinv.physics import MRI  # noqa: E402

GOLDEN_ANGLE = math.pi / ((1 + math.sqrt(5)) / 2)
"""Turn from spoke to spoke [rad], 111.25°: Winkelmann et al., IEEE Trans Med Imaging 26(1), 2007."""


class FourierPhysics(MRI):  # type: ignore[misc]
    """y = M F x with the unitary Fourier transform F and a mask M of what was sampled; ‖A‖ = 1.

    The adjoint is the zero-filled reconstruction, which is also the pseudo-inverse.

    Args:
        mask: 1 where k-space was sampled, 0 elsewhere `(H, W)`.
        **options: What deepinv's `MRI` takes, such as `noise_model`.

    Raises:
        ScanweaveError: The mask is not of two axes of zeros and ones, or samples nothing.
    """

    def __init__(self, mask: Tensor, **options: Any) -> None:
        if mask.ndim != 2 or not ((mask == 0) | (mask == 1)).all() or not mask.any():
            reason = f"shape {tuple(mask.shape)}, or values that are not 0 and 1, or nothing sampled"
            raise ScanweaveError("mask", reason, "Give (H, W) with 1 where k-space was sampled")
        super().__init__(mask=mask, **options)

    def A(self, x: Tensor, **options: Any) -> Tensor:  # noqa: N802
        """Return k-space `(B, 2, H, W)` of `x` `(B, 2, H, W)`, zero where it was not sampled."""
        self._check("image", x)
        sampled: Tensor = super().A(x, **options)
        return sampled

    def A_adjoint(self, y: Tensor, **options: Any) -> Tensor:  # noqa: N802
        """Return the zero-filled image `(B, 2, H, W)` of k-space `y` `(B, 2, H, W)`."""
        self._check("k-space", y)
        image: Tensor = super().A_adjoint(y, **options)
        return image

    def _check(self, name: str, value: Tensor) -> None:
        shape = (2, *self.mask.shape[-2:])
        if value.ndim != 4 or tuple(value.shape[1:]) != shape:
            raise ScanweaveError(
                name, f"shape {tuple(value.shape)}", f"The mask wants (B, {', '.join(map(str, shape))})"
            )
        if not torch.isfinite(value).all():
            raise ScanweaveError(name, "holds NaN or infinite values", "Repair or mask them before")


def cartesian_mask(shape: tuple[int, int], *, acceleration: float, central_lines: int, rng: Generator) -> Tensor:
    """Return a mask `(H, W)` of whole columns: the central ones, and others drawn evenly at random.

    Args:
        shape: Rows and columns of k-space.
        acceleration: Columns over sampled columns; the central ones count.
        central_lines: Columns around the zero frequency that are always sampled.
        rng: The source of randomness.

    Raises:
        ScanweaveError: The acceleration is below 1, or leaves fewer columns than the central ones.
    """
    height, width = shape
    if not 1 <= acceleration <= width:
        raise ScanweaveError("acceleration", f"{acceleration:g} for {width} columns", f"Give 1 to {width}")
    lines = round(width / acceleration)
    if not 0 <= central_lines <= lines:
        reason = f"{central_lines} where {acceleration:g}× leaves {lines} of {width} columns"
        raise ScanweaveError("central_lines", reason, "Accelerate less or sample fewer of them")
    start = width // 2 - central_lines // 2
    centre = np.arange(start, start + central_lines)
    others = rng.choice(np.setdiff1d(np.arange(width), centre), lines - central_lines, replace=False)
    mask = torch.zeros(height, width)
    mask[:, torch.from_numpy(np.concatenate([centre, others]))] = 1
    return mask


def radial_mask(shape: tuple[int, int], *, spokes: int, golden: bool = False) -> Tensor:
    """Return a mask `(H, W)` of the grid points nearest to spokes through the zero frequency.

    Args:
        shape: Rows and columns of k-space.
        spokes: Diameters that are sampled.
        golden: Turn by the golden angle from spoke to spoke instead of by equal parts of 180°.

    Raises:
        ScanweaveError: There is no spoke.
    """
    if spokes < 1:
        raise ScanweaveError("spokes", f"{spokes} spokes", "Give 1 or more")
    height, width = shape
    turn = GOLDEN_ANGLE if golden else math.pi / spokes
    reach = math.ceil(math.hypot(height, width) / 2)
    along = np.arange(-reach, reach + 1)
    angles = turn * np.arange(spokes)[:, None]
    rows = np.rint(height // 2 + along * np.sin(angles)).astype(int)
    columns = np.rint(width // 2 + along * np.cos(angles)).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    mask = torch.zeros(height, width)
    mask[torch.from_numpy(rows[inside]), torch.from_numpy(columns[inside])] = 1
    return mask
