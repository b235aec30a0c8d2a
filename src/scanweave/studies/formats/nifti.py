"""NIfTI files, with every contradiction of their headers told or refused."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE, ANEW, check_geometry, check_size, faults_of
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import ONE_FRAME, Scan

NEGLIGIBLE = 0.05
"""Share of a voxel by which sform and qform may differ: quaternions in float32 round."""

MAX_TAIL = 2**20
"""Bytes after the voxels that are passed over on the way to a compressed file's checksum."""

SLAB = 2**20
"""Voxels that are decoded at once, so that little more is held than the float32 array."""

_MENDED = ("sizeof_hdr", "vox_offset", "qform_code", "sform_code", "bitpix")
"""Header fields whose impossible values have one possible meaning, in which nibabel's check mends them."""
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}

_log = logging.getLogger("scanweave.nifti")
_log.addHandler(logging.NullHandler())
_log.propagate = False


def read_nifti(path: Path) -> Scan:
    """Open a NIfTI-1 or NIfTI-2 file; the voxels are read on first use.

    Where only one of sform and qform is set, it is used. Where both are set and lie apart, the sform is used and a
    note says so; but if both claim the same space (equal codes) and lie more than a voxel apart, the file is refused.

    Raises:
        ScanweaveError: The file is damaged, too large, or does not say where it lies.
    """
    with faults_of(path), np.errstate(all="ignore"):
        header, notes = _read_header(path)
        shape, stored = tuple(int(n) for n in header.get_data_shape()), header.get_data_dtype()
        offset, (slope, intercept) = int(header["vox_offset"]), header.get_slope_inter()
    if stored.kind not in "iuf":
        raise ScanweaveError(path, f"holds {stored} voxels", "Export one number a voxel (integer or real)")
    if np.isinf(header["scl_slope"]):
        raise ScanweaveError(path, "its intensity scale (scl_slope) is infinite", ADVICE)
    check_size(path, shape, stored.itemsize, path.stat().st_size)
    _check_length(path, offset, shape, stored)
    with faults_of(path), np.errstate(all="ignore"):
        geometry, position = _place(path, header, shape)
    frames = shape[3] if len(shape) >= 4 and shape[3] > 1 else None
    single = (ONE_FRAME,) if len(shape) > 3 and frames is None else ()
    full = geometry.shape if frames is None else (*geometry.shape, frames)

    def load() -> NDArray[np.generic]:
        with faults_of(path), np.errstate(all="ignore"):
            data = _voxels(path, offset, stored, full)
            if slope is not None and (slope, intercept) != (1.0, 0.0):
                data *= np.float32(slope)
                data += np.float32(intercept)
        return data

    synthetic = b"synthetic" in bytes(header["descrip"])
    return Scan(geometry, load, frames, _times(header, frames), path, synthetic, (*notes, *position, *single))


def _read_header(path: Path) -> tuple[nib.Nifti1Header, list[Finding]]:
    """Return the header, and which impossible fields were mended in it; pixdim stays as it is in the file."""
    with _opened(path) as stream:
        block = stream.read(540)
    kinds = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
    size = next((s for s in kinds for order in ("little", "big") if int.from_bytes(block[:4], order) == s), 348)
    if len(block) < size:
        raise ScanweaveError(path, f"truncated: has {len(block)} bytes, fewer than a header", ADVICE)
    raw = kinds[size](block[:size], check=False)
    if bytes(raw["magic"]).rstrip(b"\0")[:3] not in (b"n+1", b"n+2"):
        raise ScanweaveError(path, f"not a NIfTI file (it starts with {block[:4]!r})", ADVICE)
    header = raw.copy()
    header.check_fix(logger=_log, error_level=40)
    header["pixdim"] = raw["pixdim"]
    header["vox_offset"] = header["vox_offset"] or size + 4
    mended = [field for field in _MENDED if raw[field] != header[field]]
    words = [
        (f"header field {field} is {raw[field].item():g}", f"read as {header[field].item():g}") for field in mended
    ]
    return header, [Finding("header", "repaired", what, done) for what, done in words]


def _opened(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _check_length(path: Path, offset: int, shape: tuple[int, ...], stored: np.dtype) -> None:
    """Refuse an uncompressed file that is shorter than its header claims."""
    needed, there = offset + int(np.prod(shape)) * stored.itemsize, path.stat().st_size
    if path.name.lower().endswith(".nii") and there < needed:
        raise ScanweaveError(path, f"truncated: has {there} bytes of the {needed} that its header claims", ADVICE)


def _place(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[Geometry, list[Finding]]:
    """Return where the header places the image and what is peculiar about that; refuse what cannot be told."""
    qform, sform = int(header["qform_code"]), int(header["sform_code"])
    steps = np.array(header["pixdim"][1:4], dtype=np.float64)
    usable = bool(np.isfinite(steps).all() and (steps > 0).all())
    if (qform, sform) == (0, 0):
        raise ScanweaveError(path, "its header says nothing about orientation (qform and sform codes are 0)", ANEW)
    if sform == 0:
        if not usable:
            raise ScanweaveError(path, f"its voxel sizes (pixdim) are {steps.tolist()} mm", ANEW)
        return check_geometry(path, Geometry.of(shape, header.get_qform())), []
    geometry = check_geometry(path, Geometry.of(shape, header.get_sform()))
    if qform > 0:
        return geometry, _conflict(path, header, geometry, usable, same_space=qform == sform)
    if usable and np.allclose(steps, geometry.spacing, rtol=1e-2):
        return geometry, []
    words = f"voxel sizes (pixdim) {np.round(steps, 4).tolist()} differ from those of the sform"
    return geometry, [Finding("spacing", "repaired", words, "the sform is used")]


def _conflict(
    path: Path, header: nib.Nifti1Header, geometry: Geometry, usable: bool, same_space: bool
) -> list[Finding]:
    """Compare the sform, by which `geometry` was read, with the qform."""
    try:
        apart = geometry.distance(Geometry(geometry.shape, header.get_qform())) if usable else float("nan")
    except (ValueError, np.linalg.LinAlgError, HeaderDataError):
        apart = float("nan")
    if not np.isfinite(apart):
        return [Finding("position", "repaired", "the qform is not a valid position", "the sform is used")]
    if apart <= NEGLIGIBLE * min(geometry.spacing):
        return []
    if same_space and apart > min(geometry.spacing):
        raise ScanweaveError(
            path,
            f"sform and qform both claim to be right and lie {apart:.3g} mm apart",
            "Find out which is right, then set the code of the other to 0 in a copy",
        )
    return [Finding("position", "repaired", f"sform and qform lie {apart:.2g} mm apart", "the sform is used")]


def _times(header: nib.Nifti1Header, frames: int | None) -> NDArray[np.floating] | None:
    step = float(header["pixdim"][4]) * _SECONDS.get(int(header["xyzt_units"]) & 0x38, 1.0)
    return np.arange(frames) * step if frames and np.isfinite(step) and step > 0 else None


def _voxels(path: Path, offset: int, stored: np.dtype, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read the stored numbers slab by slab; a compressed file to its very end, where its checksum is."""
    values = np.empty(int(np.prod(shape)), dtype=np.float32)
    with _opened(path) as stream:
        stream.seek(offset)
        for start in range(0, values.size, SLAB):
            slab = values[start : start + SLAB]
            content = stream.read(slab.size * stored.itemsize)
            if len(content) < slab.size * stored.itemsize:
                there, needed = (n * stored.itemsize + extra for n, extra in ((start, len(content)), (values.size, 0)))
                words = f"truncated: holds {there} bytes of voxels, its header claims {needed}"
                raise ScanweaveError(path, words, ADVICE)
            slab[:] = np.frombuffer(content, dtype=stored)
        tail = len(stream.read(MAX_TAIL)) if path.name.lower().endswith(".gz") else 0
    if tail == MAX_TAIL:
        raise ScanweaveError(path, "holds far more than its header claims", ADVICE)
    return values.reshape(shape, order="F")
