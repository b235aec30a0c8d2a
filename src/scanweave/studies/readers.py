"""Image files in: header first, size against a budget, then the voxels."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan

MEMORY_BUDGET = int(os.environ.get("SCANWEAVE_MEMORY_BUDGET", 4 * 2**30))
"""Largest array that is read from one file [bytes]; `SCANWEAVE_MEMORY_BUDGET` sets another."""

MAX_RATIO = 1000
"""A compressed file that claims more than this many times its size is taken for a decompression bomb."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TIME_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def suffix(path: str | Path) -> str | None:
    """The image suffix of a file name (`".nii.gz"` …), or None if it is not an image we read."""
    name = Path(path).name.lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)


def read_scan(path: str | Path) -> Scan:
    """Open a NIfTI, NRRD or MetaImage file; the header is read now, the voxels on first use.

    Raises:
        ScanweaveError: The file is absent, not an image, damaged, too large or without a usable position.
    """
    path = Path(path)
    kind = suffix(path)
    if kind is None:
        raise ScanweaveError(path, "not an image format that is read here", f"Use one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ScanweaveError(path, "no such file", "Check the path, or import the cohort again")
    return _read_nifti(path) if kind in NIFTI_SUFFIXES else _read_itk(path)


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Translate what nibabel, numpy, zlib and ITK raise on damaged files."""
    advice = "Copy the file again from its source, or convert it anew"
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise ScanweaveError(path, f"truncated or damaged ({error})", advice) from error
    except (ImageFileError, HeaderDataError) as error:
        raise ScanweaveError(path, f"not a valid image file ({error})", advice) from error
    except MemoryError as error:
        raise ScanweaveError(path, "needs more memory than there is", "Use a machine with more memory") from error
    except (OSError, ValueError, OverflowError, TypeError, IndexError, KeyError, RuntimeError) as error:
        raise ScanweaveError(path, f"cannot be read ({error})", advice) from error


def _check_size(path: Path, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse an impossible or too large array before a voxel is decoded."""
    if not 3 <= len(shape) <= 5 or min(shape) < 1 or any(n != 1 for n in shape[4:]):
        raise ScanweaveError(
            path, f"its header gives the shape {shape}, not a 3D volume or 4D series", "Export it as 3D or 4D"
        )
    size = int(np.prod([int(n) for n in shape], dtype=object)) * itemsize
    if size > MEMORY_BUDGET:
        raise ScanweaveError(
            path, f"its header claims {size / 2**30:.1f} GiB, over the budget of {MEMORY_BUDGET / 2**30:.1f} GiB",
            "If that is right, raise SCANWEAVE_MEMORY_BUDGET (bytes)",
        )  # fmt: skip
    if size > MAX_RATIO * max(1, path.stat().st_size) and size > 2**24:
        raise ScanweaveError(
            path, f"claims {size / 2**20:.0f} MiB from a file of {path.stat().st_size / 2**10:.0f} KiB",
            "It looks like a decompression bomb or an empty image: check where it came from",
        )  # fmt: skip


def _read_nifti(path: Path) -> Scan:
    with _faults_of(path):
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Pair):
            raise ScanweaveError(path, f"holds a {type(image).__name__}, not NIfTI", "Convert it to NIfTI")
        shape, stored = image.shape, image.header.get_data_dtype()
        affine, codes = image.affine, (int(image.header["qform_code"]), int(image.header["sform_code"]))
        zooms, units = image.header.get_zooms(), image.header.get_xyzt_units()
        synthetic = b"synthetic" in bytes(image.header["descrip"])
    if stored.kind not in "iuf":
        raise ScanweaveError(path, f"holds {stored} voxels", "Export one number a voxel (integer or real)")
    _check_size(path, shape, 4)
    geometry = _checked(path, Geometry.of(shape, affine))
    if codes == (0, 0):
        raise ScanweaveError(
            path, "its header says nothing about orientation (qform and sform codes are 0)",
            "Orientation is never guessed: convert it anew from the DICOM files, with the position kept",
        )  # fmt: skip
    frames = shape[3] if len(shape) >= 4 and shape[3] > 1 else None
    step = float(zooms[3]) * _TIME_UNITS.get(units[1], 1.0) if len(zooms) > 3 else 0.0
    times = np.arange(frames) * step if frames and step > 0 else None

    def load() -> NDArray[np.generic]:
        with _faults_of(path):
            data = np.asarray(nib.load(path).dataobj, dtype=np.float32)
        return data.reshape(geometry.shape if frames is None else (*geometry.shape, frames))

    return Scan(geometry, load, frames, times, path, synthetic)


def _read_itk(path: Path) -> Scan:
    itk = require("SimpleITK", "itk")
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    with _faults_of(path):
        reader.ReadImageInformation()
        shape, origin = reader.GetSize(), reader.GetOrigin()
        spacing, direction, channels = reader.GetSpacing(), reader.GetDirection(), reader.GetNumberOfComponents()
    if channels != 1:
        raise ScanweaveError(path, f"holds {channels} numbers a voxel", "Export one number a voxel")
    _check_size(path, tuple(shape), 4)
    dimension = len(shape)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (dimension, dimension))[:3, :3] * np.array(spacing)[:3]
    affine[:3, 3] = np.array(origin)[:3]
    geometry = _checked(path, Geometry.of(shape, _LPS_TO_RAS @ affine))
    frames = int(shape[3]) if dimension == 4 and shape[3] > 1 else None

    def load() -> NDArray[np.generic]:
        with _faults_of(path):
            data = itk.GetArrayFromImage(itk.ReadImage(str(path), itk.sitkFloat32)).T
        return data.reshape(geometry.shape if frames is None else (*geometry.shape, frames))

    return Scan(geometry, load, frames, None, path)


def _checked(path: Path, geometry: Geometry) -> Geometry:
    if geometry.fault:
        raise ScanweaveError(path, geometry.fault, "Orientation is never guessed: convert it anew from the source")
    return geometry
