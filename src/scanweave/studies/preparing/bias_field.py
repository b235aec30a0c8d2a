"""Uneven brightness of MR coils taken out by N4 (Tustison et al., IEEE TMI 2010), through SimpleITK."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.foreground import foreground
from scanweave.studies.preparing.registration import still, to_itk
from scanweave.studies.scan import Scan

WORKING_MM = 6.0
"""Edge of a voxel on which the field, which is smooth, is fitted [mm]."""
ITERATIONS = (50, 50, 30)
"""Steps on each level of the fit, at most."""
LEAST_VOXELS = 1000
"""Voxels of the working grid that the patient must fill."""
NOT_MR = frozenset({"ct", "pet", "adc", "fa", "t1map", "t2map", "cbf", "cbv", "mtt"})
"""Names of scans whose numbers have a unit, or come from no coil: they are left as they are."""


def correct_bias(name: str, scan: Scan, mask: NDArray[np.bool_] | None = None) -> tuple[Scan, float]:
    """Divide a scan by its bias field; the mean within the mask stays.

    Args:
        name: What it is called, for errors.
        scan: The scan; the field of a series is that of its mean.
        mask: Where the field is fitted, `(X, Y, Z)`; None: where the patient is.

    Returns:
        The scan in float32, and the spread of the field [%]: 100 × (its 95th / 5th percentile in the mask − 1).

    Raises:
        ScanweaveError: SimpleITK is absent, or too little of the patient is there.
    """
    volume = still(scan)
    mask = (foreground(volume) if mask is None else mask) & (volume > 0)
    field = _field(name, volume, mask, scan.geometry.spacing)
    low, high = np.percentile(field[mask], (5, 95))
    data = np.asarray(scan.data, dtype=np.float32)
    made = data / (field if data.ndim == 3 else field[..., None])
    return replace(scan, load=lambda: made, path=None), float(100 * (high / low - 1))


def _field(
    name: str, volume: NDArray[np.float32], mask: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return the field `(X, Y, Z)`, 1 on the mean of the corrected mask."""
    itk = require("SimpleITK", "itk")
    grid = Geometry.of(volume.shape, np.diag([*spacing, 1.0]))  # the direction of the axes does not matter to a field
    image, inside = to_itk(volume, grid), to_itk(mask.astype(np.uint8), grid)
    steps = [max(1, min(round(WORKING_MM / edge), size // 4)) for edge, size in zip(spacing, volume.shape, strict=True)]
    small, small_mask = itk.Shrink(image, steps), itk.Shrink(inside, steps)
    if int(itk.GetArrayViewFromImage(small_mask).sum()) < LEAST_VOXELS:
        raise ScanweaveError(name, "too little of the patient is in it to fit a bias field", "Leave out --bias")
    fit: Any = itk.N4BiasFieldCorrectionImageFilter()
    fit.SetNumberOfThreads(1)
    fit.SetNumberOfWorkUnits(1)
    fit.SetMaximumNumberOfIterations(ITERATIONS)
    try:
        fit.Execute(small, small_mask)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ScanweaveError(name, f"the bias field cannot be fitted ({reason})", "Leave out --bias") from error
    field = np.exp(itk.GetArrayFromImage(fit.GetLogBiasFieldAsImage(image)).T).astype(np.float32)
    scale = float((volume[mask] / field[mask]).mean() / volume[mask].mean())
    return np.asarray(field * np.float32(scale))
