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


def write_scan(path: str | Path, scan: Scan, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write `scan` as NIfTI (`.nii` or `.nii.gz`), whole or not at all.

    A synthetic scan says so in its header (`descrip`) and carries `provenance` as a JSON comment extension; a `caution`
    in it is pointed out in `descrip`.

    Raises:
        ScanweaveError: The name is not a NIfTI name, or the disk refuses.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ScanweaveError(path, "images are written as NIfTI", "Name it .nii or .nii.gz")
    data = np.asarray(scan.data)
    if data.dtype.kind == "f":
        data = data.astype(np.float32)
    image = nib.Nifti1Image(data, scan.geometry.affine)
    image.header.set_xyzt_units("mm", "sec")
    if scan.times is not None and len(scan.times) > 1:
        image.header.set_zooms((*scan.geometry.spacing, float(scan.times[1] - scan.times[0])))
    if scan.synthetic:
        doubt = b"; see the caution in its comment" if provenance and provenance.get("caution") else b""
        image.header["descrip"] = b"synthetic image made by scanweave" + doubt
    if provenance:
        content = json.dumps(dict(provenance), sort_keys=True).encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", content))
    with atomic_write(path) as temporary:
        nib.save(image, temporary)
    return path
