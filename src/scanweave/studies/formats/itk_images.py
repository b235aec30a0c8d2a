"""NRRD and MetaImage files, through SimpleITK."""

from __future__ import annotations

import glob
import re
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE, ANEW, check_geometry, check_size, faults_of
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import ONE_FRAME, Scan

LONGEST_HEADER = 2**20
"""Bytes in which the fields that we read must stand."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SPACE = re.compile(r"([rl][ap]s|(right|left)-(anterior|posterior)-superior)(t|-time)?", re.IGNORECASE)
"""Spaces of NRRD that ITK brings to LPS; it takes any other one as it is."""
_DATA_FILE = ("data file", "datafile", "elementdatafile")
_MATRIX = ("transformmatrix", "orientation", "rotation")


def read_itk(path: Path) -> Scan:
    """Open an NRRD or MetaImage file; the voxels are read on first use.

    Raises:
        ScanweaveError: SimpleITK is not installed, the file is damaged or too large, or does not say where it lies.
    """
    itk = require("SimpleITK", "itk")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    with faults_of(path):
        fields, rest = _header(path)
        there = sum(file.stat().st_size for file in _data_files(path, fields, rest))
        _check_orientation(path, fields)
        reader.ReadImageInformation()
        shape, origin = reader.GetSize(), reader.GetOrigin()
        spacing, direction, channels = reader.GetSpacing(), reader.GetDirection(), reader.GetNumberOfComponents()
        bits = re.search(r"(\d+)-bit", itk.GetPixelIDValueAsString(reader.GetPixelID()))
    if channels != 1:
        raise ScanweaveError(path, f"holds {channels} numbers a voxel", "Export one number a voxel")
    itemsize = int(bits[1]) // 8 if bits else 8
    held = 2 * max(itemsize, 4)  # ITK's image, and beside it the compressed one or ours
    check_size(path, tuple(shape), itemsize, there, held)
    dimension = len(shape)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (dimension, dimension))[:3, :3] * np.array(spacing)[:3]
    affine[:3, 3] = np.array(origin)[:3]
    geometry = check_geometry(path, Geometry.of(shape, _LPS_TO_RAS @ affine))
    frames = int(shape[3]) if dimension == 4 and shape[3] > 1 else None
    notes: tuple[Finding, ...] = (ONE_FRAME,) if dimension > 3 and frames is None else ()

    def load() -> NDArray[np.generic]:
        with faults_of(path):
            data = itk.GetArrayFromImage(itk.ReadImage(str(path), itk.sitkFloat32)).T
        return data.reshape(geometry.shape if frames is None else (*geometry.shape, frames))

    return Scan(geometry, load, frames, None, path, notes=notes)


def _header(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the fields of a header by name in lower case, and the lines after that which names the data."""
    with path.open("rb") as stream:
        lines = iter(stream.read(LONGEST_HEADER).decode("latin-1").splitlines())
    fields: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition("=" if path.suffix.lower() in (".mha", ".mhd") else ":")
        if separator:
            fields[name.strip().lower()] = value.strip()
        if not line.strip() or name.strip().lower() in _DATA_FILE:
            break
    return fields, [line.strip() for line in lines]


def _check_orientation(path: Path, fields: dict[str, str]) -> None:
    """Refuse a header for which ITK would make up how the axes lie; what is none, it refuses itself."""
    if path.suffix.lower() in (".mha", ".mhd"):
        told, lacking = any(name in fields for name in _MATRIX), "TransformMatrix"
    else:
        told = "space directions" in fields and bool(_SPACE.fullmatch(fields.get("space", "")))
        lacking = "space of a patient, or space directions"
    if fields and not told:
        raise ScanweaveError(path, f"its header says nothing about orientation (it has no {lacking})", ANEW)


def _data_files(path: Path, fields: dict[str, str], rest: list[str]) -> list[Path]:
    """Return where the voxels lie: in the file itself, or in files beside it.

    Raises:
        ScanweaveError: They lie elsewhere.
    """
    named = next((fields[name] for name in _DATA_FILE if name in fields), "LOCAL")
    if named.upper() == "LOCAL":
        return [path]
    pattern = named.split()[0] if re.search(r"%\d*d", named) else None
    names = [pattern] if pattern else [line for line in rest if line] if named.upper().startswith("LIST") else [named]
    for name in names:
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise ScanweaveError(path, f"'{name}', where its voxels are, leads out of its folder", ADVICE)
    if pattern:
        return list(path.parent.glob(re.sub(r"%\d*d", "*", glob.escape(pattern))))
    return [path.parent / name for name in names]
