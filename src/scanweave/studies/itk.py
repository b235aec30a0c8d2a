"""NRRD and MetaImage files, through SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry
from scanweave.studies.guard import check_geometry, check_size, faults_of
from scanweave.studies.scan import ONE_FRAME, Scan

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> Scan:
    """Open an NRRD or MetaImage file; the voxels are read on first use.

    Raises:
        ScanweaveError: SimpleITK is not installed, or the file is damaged or too large.
    """
    itk = require("SimpleITK", "itk")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    with faults_of(path):
        reader.ReadImageInformation()
        shape, origin = reader.GetSize(), reader.GetOrigin()
        spacing, direction, channels = reader.GetSpacing(), reader.GetDirection(), reader.GetNumberOfComponents()
    if channels != 1:
        raise ScanweaveError(path, f"holds {channels} numbers a voxel", "Export one number a voxel")
    check_size(path, tuple(shape))
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
