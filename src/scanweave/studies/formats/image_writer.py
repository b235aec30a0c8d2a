"""Images out: NIfTI on the grid that they belong to, marked when a model made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.studies.scan import Scan

STRAIGHTENED = "resampled to right angles: the grid was sheared"
"""Note in the file of an image whose own grid could not be written."""

NEGLIGIBLE_SKEW = 2e-5
"""Largest cosine between axes that ITK surely takes in an sform (it refuses 5e-4). Above it a qform of the same code
lies beside it, which ITK falls back on; below it there is none: its float32 quaternions place a voxel 1e-3 mm off."""


def write_scan(path: str | Path, scan: Scan, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write `scan` as NIfTI (`.nii` or `.nii.gz`), whole or not at all.

    A scan on a sheared grid, which NIfTI readers refuse or unshear, is resampled to a straight one over the same space.
    A synthetic scan says so in its header (`descrip`) and carries `provenance` as a JSON comment extension; a `caution`
    in it is pointed out in `descrip`.

    Raises:
        ScanweaveError: The name is not a NIfTI name, or the disk refuses.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ScanweaveError(path, "images are written as NIfTI", "Name it .nii or .nii.gz")
    told = dict(provenance or {})
    if not scan.geometry.is_orthogonal:
        scan, told = scan.straightened(), told | {"grid": STRAIGHTENED}
    data = np.asarray(scan.data)
    if data.dtype.kind == "f":
        data = data.astype(np.float32)
    image = nib.Nifti1Image(data, scan.geometry.affine)
    if scan.geometry.skew > NEGLIGIBLE_SKEW:
        image.set_qform(scan.geometry.affine, code="aligned")
    image.header.set_xyzt_units("mm", "sec")
    _set_times(image.header, scan)
    if scan.synthetic:
        doubt = b"; see the caution in its comment" if told.get("caution") else b""
        image.header["descrip"] = b"synthetic image made by scanweave" + doubt
    if told:
        content = json.dumps(told, sort_keys=True).encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", content))
    with atomic_write(path) as temporary:
        nib.save(image, temporary)
    return path


def _set_times(header: nib.Nifti1Header, scan: Scan) -> None:
    """Write start and step of evenly spaced frames; others a header cannot tell."""
    if scan.times is None or len(scan.times) < 2:
        return
    steps = np.diff(scan.times)
    if np.allclose(steps, steps[0], rtol=1e-4):
        header.set_zooms((*scan.geometry.spacing, float(steps[0])))
        header["toffset"] = float(scan.times[0])
