"""Slices that were reconstructed from a sinogram, as scans: one voxel deep, centred on the isocentre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import orient
from scanweave.studies.scan import Scan

Array = NDArray[np.floating]


def slice_scan(image: Array, pixel: float, *, synthetic: bool = False) -> Scan:
    """Return an axial slice `(H, W)`, or several on one grid `(S, H, W)`, as a scan `(W, H, 1)` or `(W, H, 1, S)`.

    Rows run from the front of the patient to the back, columns from the right to the left, as in `CtGeometry`. A
    slice out of a fan has no thickness of its own: the voxel is as deep as it is wide.

    Args:
        image: The slice.
        pixel: Side of a pixel [mm].
        synthetic: Whether a model made it.
    """
    rows, columns = image.shape[-2:]
    affine = np.diag([-pixel, -pixel, pixel, 1.0])
    affine[:2, 3] = (columns - 1) * pixel / 2, (rows - 1) * pixel / 2
    return Scan.of(np.asarray(image.T, np.float32)[:, :, None], affine, synthetic=synthetic)


def slice_image(scan: Scan, where: object = "scan") -> Array:
    """Return a scan of one axial slice as `(H, W)`: the inverse of `slice_scan`.

    Raises:
        ScanweaveError: It has more slices than one, or a time axis.
    """
    data = orient(np.asarray(scan.data), scan.geometry, "LPS")
    if data.ndim != 3 or data.shape[2] != 1:
        raise ScanweaveError(str(where), f"has the shape {data.shape}, not one slice", "Give one axial slice")
    return np.asarray(data[:, :, 0].T, np.float32)


def slice_images(scans: Sequence[Scan], where: object = "scans") -> Array:
    """Return scans of one slice on one grid as `(S, H, W)`.

    Raises:
        ScanweaveError: A scan is no single slice, or their sizes differ.
    """
    images = [slice_image(scan, where) for scan in scans]
    if len({image.shape for image in images}) > 1:
        raise ScanweaveError(str(where), "its bins differ in size", "Put them on one grid")
    return np.stack(images)
