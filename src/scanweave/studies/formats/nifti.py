"""NIfTI files, single or in pairs, with every contradiction of their headers told or refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE, ANEW, check_geometry, check_size, faults_of
from scanweave.studies.formats.image_pairs import find_pair
from scanweave.studies.formats.placed_volume import Volume, from_unit, open_volume
from scanweave.studies.formats.voxel_streams import Voxels, opened
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan

SAME_PLACE_VOXELS = 0.05
"""Share of a voxel by which sform and qform may differ: quaternions in float32 round."""

_MENDED = ("sizeof_hdr", "vox_offset", "qform_code", "sform_code", "bitpix")
"""Header fields whose impossible values have one possible meaning, in which nibabel's check mends them."""
_SECONDS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
"""Seconds of a unit of time; what is not declared is seconds, other codes are no times."""
_MILLIMETRES = {1: (1e3, "metre"), 3: (1e-3, "micron")}
"""Millimetres of a unit of length that is not one."""

_log = logging.getLogger("scanweave.nifti")
_log.addHandler(logging.NullHandler())
_log.propagate = False


def read_nifti(path: Path) -> Scan:
    """Open a NIfTI-1 or NIfTI-2 file, or a pair (`.hdr` and `.img`); the voxels are read on first use.

    Where only one of sform and qform is set, or only one is a position, it is used. Where both are set and lie apart,
    the sform is used and a note says so; but if both claim the same space (equal codes) and lie more than a voxel
    apart, the file is refused. Lengths declared in metres or microns are converted to millimetres. A file is unpacked
    by its first bytes, whatever it is called.

    Raises:
        ScanweaveError: The file is damaged, too large, or does not say where it lies.
    """
    with faults_of(path), np.errstate(all="ignore"):
        head, body = find_pair(path)
        header, notes = _read_header(head, paired=head != body)
        shape, stored = tuple(int(n) for n in header.get_data_shape()), header.get_data_dtype()
        offset, (slope, intercept) = int(header["vox_offset"]), header.get_slope_inter()
        if stored.kind not in "iuf":
            raise ScanweaveError(path, f"holds {stored} voxels", "Export one number a voxel (integer or real)")
        if np.isinf(header["scl_slope"]):
            raise ScanweaveError(path, "its intensity scale (scl_slope) is infinite", ADVICE)
        check_size(path, shape, stored.itemsize, body.stat().st_size)
        geometry, position = _place(path, header, shape)
        factor, declared = _MILLIMETRES.get(int(header["xyzt_units"]) & 0x07, (1.0, "mm"))
        affine, units = from_unit(path, geometry.affine, factor, declared)
        voxels = Voxels.binary(path, body, stored, int(np.prod([*shape], dtype=object)), offset)
    scale = (1.0, 0.0) if slope is None else (float(slope), float(intercept))
    volume = Volume(voxels, shape, affine, None, _times(header), *scale)
    scan = open_volume(volume, [*_misnamed(body, voxels.coding == "gzip"), *notes, *position, *units])
    return replace(scan, synthetic=b"synthetic" in bytes(header["descrip"]))


def _misnamed(body: Path, packed: bool) -> list[Finding]:
    """Return a note on a file that is packed and not called so, or the reverse."""
    if packed == body.name.lower().endswith(".gz"):
        return []
    words = f"packed by gzip, and not named {body.suffix}.gz" if packed else "not packed, although its name ends in .gz"
    return [Finding("name", "repaired", words, "read by what it holds")]


def _read_header(path: Path, paired: bool) -> tuple[nib.Nifti1Header, list[Finding]]:
    """Return the header, and which impossible fields were mended in it; pixdim stays as it is in the file."""
    with opened(path) as stream:
        block = stream.read(540)
    single, pair = {348: nib.Nifti1Header, 540: nib.Nifti2Header}, {348: Nifti1PairHeader, 540: Nifti2PairHeader}
    size = next((s for s in single for order in ("little", "big") if int.from_bytes(block[:4], order) == s), 348)
    if len(block) < size:
        raise ScanweaveError(path, f"truncated: has {len(block)} bytes, fewer than a header", ADVICE)
    raw = (pair if paired else single)[size](block[:size], check=False)
    magic = bytes(raw["magic"]).rstrip(b"\0")[:3]
    if paired and magic not in (b"ni1", b"ni2", b"n+1", b"n+2") and int(raw["sizeof_hdr"]) == size:
        raise ScanweaveError(path, "an Analyze header, which says nothing about orientation", ANEW)
    if magic not in ((b"ni1", b"ni2") if paired else (b"n+1", b"n+2")):
        raise ScanweaveError(path, f"not a NIfTI file (it starts with {block[:4]!r})", ADVICE)
    header = raw.copy()
    header.check_fix(logger=_log, error_level=40)
    header["pixdim"] = raw["pixdim"]
    if not paired:
        header["vox_offset"] = header["vox_offset"] or size + 4
    mended = [field for field in _MENDED if raw[field] != header[field]]
    words = [
        (f"header field {field} is {raw[field].item():g}", f"read as {header[field].item():g}") for field in mended
    ]
    return header, [Finding("header", "repaired", what, done) for what, done in words]


def _place(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[Geometry, list[Finding]]:
    """Return where the header places the image and what is peculiar about that; refuse what cannot be told."""
    codes = int(header["qform_code"]), int(header["sform_code"])
    if codes == (0, 0):
        raise ScanweaveError(path, "its header says nothing about orientation (qform and sform codes are 0)", ANEW)
    steps = np.array(header["pixdim"][1:4], dtype=np.float64)
    usable = bool(np.isfinite(steps).all() and (steps > 0).all())
    by_sform = Geometry.of(shape, header.get_sform()) if codes[1] > 0 else None
    if by_sform is not None and not by_sform.fault:
        if codes[0] > 0:
            return by_sform, _conflict(path, header, by_sform, usable, same_space=codes[0] == codes[1])
        if usable and np.allclose(steps, by_sform.spacing, rtol=1e-2):
            return by_sform, []
        words = f"voxel sizes (pixdim) {np.round(steps, 4).tolist()} differ from those of the sform"
        return by_sform, [Finding("spacing", "repaired", words, "the sform is used")]
    if codes[0] == 0 and by_sform is not None:
        return check_geometry(path, by_sform), []
    if not usable:
        fault = f"its voxel sizes (pixdim) are {steps.tolist()} mm"
        raise ScanweaveError(path, fault if by_sform is None else by_sform.fault or fault, ANEW)
    qform, notes = _qform(header)
    if by_sform is not None:
        notes.append(
            Finding("position", "repaired", f"the sform is no position ({by_sform.fault})", "the qform is used")
        )
    return check_geometry(path, Geometry.of(shape, qform)), notes


def _qform(header: nib.Nifti1Header) -> tuple[NDArray[np.float64], list[Finding]]:
    """Return the matrix of the qform; a pixdim[0] of 0 counts as 1, as the standard says."""
    if float(header["pixdim"][0]) != 0:
        return np.array(header.get_qform(), dtype=np.float64), []
    header = header.copy()
    header["pixdim"][0] = 1.0
    note = Finding("header", "repaired", "header field pixdim[0] is 0", "read as 1, as the standard says")
    return np.array(header.get_qform(), dtype=np.float64), [note]


def _conflict(
    path: Path, header: nib.Nifti1Header, geometry: Geometry, usable: bool, same_space: bool
) -> list[Finding]:
    """Compare the sform, by which `geometry` was read, with the qform."""
    try:
        apart = geometry.distance(Geometry(geometry.shape, _qform(header)[0])) if usable else float("nan")
    except (ValueError, np.linalg.LinAlgError, HeaderDataError):
        apart = float("nan")
    if not np.isfinite(apart):
        return [Finding("position", "repaired", "the qform is not a valid position", "the sform is used")]
    if apart <= SAME_PLACE_VOXELS * min(geometry.spacing):
        return []
    if same_space and apart > min(geometry.spacing):
        raise ScanweaveError(
            path,
            f"sform and qform both claim to be right and lie {apart:.3g} mm apart",
            "Find out which is right, then set the code of the other to 0 in a copy",
        )
    return [Finding("position", "repaired", f"sform and qform lie {apart:.2g} mm apart", "the sform is used")]


def _times(header: nib.Nifti1Header) -> tuple[float, float] | None:
    """Return start and step of the frames [s]; None where the fourth axis is none of time."""
    second = _SECONDS.get(int(header["xyzt_units"]) & 0x38)
    told = second is not None and float(header["pixdim"][4]) > 0  # 0: the step is not known
    return (
        None if second is None or not told else (float(header["toffset"]) * second, float(header["pixdim"][4]) * second)
    )
