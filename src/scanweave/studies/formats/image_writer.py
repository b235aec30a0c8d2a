"""Images out: NIfTI on the grid that they belong to, marked when a model made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, read_json, write_json
from scanweave.studies.formats.frame_facts import B_VALUES, EACH_TIME, FACTS
from scanweave.studies.scan import Scan

STRAIGHTENED = "resampled to right angles: the grid was sheared"
"""Note in the file of an image whose own grid could not be written."""

_OTHER = "Remove it, or choose another name for the image"

NEGLIGIBLE_SKEW = 2e-5
"""Largest cosine between axes that ITK surely takes in an sform (it refuses 5e-4). Above it a qform of the same code
lies beside it, which ITK falls back on; below it there is none: its float32 quaternions place a voxel 1e-3 mm off."""


def write_scan(path: str | Path, scan: Scan, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write `scan` as NIfTI (`.nii` or `.nii.gz`), whole or not at all.

    A scan on a sheared grid, which NIfTI readers refuse or unshear, is resampled to a straight one over the same space.
    A synthetic scan says so in its header (`descrip`) and carries `provenance` as a JSON comment extension; a `caution`
    in it is pointed out in `descrip`. Times of a series that are not evenly spaced, which a header cannot tell, stand
    in a JSON file beside it (`VolumeTiming`, as in BIDS), b-values in FSL's `.bval`.

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
    even = _set_times(image.header, scan)
    if scan.synthetic:
        doubt = b"; see the caution in its comment" if told.get("caution") else b""
        image.header["descrip"] = b"synthetic image made by scanweave" + doubt
    if told:
        content = json.dumps(told, sort_keys=True).encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", content))
    if not even:
        add_facts(path, {EACH_TIME[0]: np.asarray(scan.times, dtype=np.float64).tolist()})
    if scan.b_values is not None:
        text = " ".join(f"{value:.15g}" for value in scan.b_values)
        with atomic_write(_beside(path, B_VALUES)) as temporary:
            temporary.write_text(f"{text}\n", encoding="ascii")
    with atomic_write(path) as temporary:
        nib.save(image, temporary)
    return path


def add_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts on a NIfTI image into the JSON file beside it, with what that says already.

    Raises:
        ScanweaveError: Another JSON file lies there.
    """
    file = _beside(path, FACTS)
    known = read_json(file, _OTHER) if file.is_file() else {}
    if not isinstance(known, dict):
        raise ScanweaveError(file, "says nothing of an image", _OTHER)
    write_json(file, {**known, **facts})


def _set_times(header: nib.Nifti1Header, scan: Scan) -> bool:
    """Write start and step of evenly spaced frames; return whether that tells all that is known of times."""
    if scan.times is None:
        if scan.frames is not None:
            header["pixdim"][4] = 0  # not told: else the step would be read as 1 s
        return True
    steps = np.diff(scan.times)
    if len(steps) == 0 or steps[0] <= 0 or not np.allclose(steps, steps[0], rtol=1e-4):
        return False
    header.set_zooms((*scan.geometry.spacing, float(steps[0])))
    header["toffset"] = float(scan.times[0])
    return True


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ending)
