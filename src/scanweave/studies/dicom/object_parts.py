"""Parts that all DICOM objects of ours have: who, what made them, that they are synthetic; where their planes lie."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scanweave
from scanweave.external import require
from scanweave.studies.dicom.object_sources import MR, Origin, Source
from scanweave.studies.dicom.stacks import LPS_TO_RAS
from scanweave.studies.geometry import Geometry

GROUP = "dicom"
MAKER = "scanweave"
SOURCE = "Source image for image processing operation"
WORDS = "SYNTHETIC, research use only"
Array = NDArray[np.float64]


def common_parts(origin: Origin, sop_class: str, series: str, number: int, description: str) -> Any:
    """Return a data set with the modules that all objects have."""
    dataset = require("pydicom.dataset", GROUP)
    uids = require("pydicom.uid", GROUP)
    meta = dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uids.generate_uid()
    meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    made = dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    now = datetime.datetime.now(datetime.UTC)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID = f"{origin.patient}^", origin.patient
    made.PatientBirthDate = made.PatientSex = ""
    made.StudyInstanceUID, made.SeriesInstanceUID = origin.uid, series
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.ContentDate, made.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.InstanceCreationDate, made.InstanceCreationTime = made.ContentDate, made.ContentTime
    made.SeriesNumber, made.SeriesDescription = number, description[:64]
    made.Manufacturer, made.ManufacturerModelName = MAKER, MAKER
    made.DeviceSerialNumber, made.SoftwareVersions = "none", scanweave.__version__
    made.ContributingEquipmentSequence = sequence([equipment()])
    return made


def equipment() -> Any:
    """Return the item that names this program as what made an object."""
    item = new_item()
    item.Manufacturer, item.ManufacturerModelName = MAKER, MAKER
    item.SoftwareVersions = scanweave.__version__
    item.PurposeOfReferenceCodeSequence = sequence([code("109102", "DCM", "Processing Equipment")])
    item.ContributionDescription = WORDS
    return item


def new_item() -> Any:
    """Return an empty data set."""
    return require("pydicom.dataset", GROUP).Dataset()


def sequence(items: Sequence[Any]) -> Any:
    """Return data sets as a sequence."""
    return require("pydicom.sequence", GROUP).Sequence(items)


def code(value: str, scheme: str, meaning: str) -> Any:
    """Return a coded concept as an item."""
    item = new_item()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def source_items(sources: Sequence[Source]) -> Any:
    """Return images that an object was made of as a sequence of references."""
    items = []
    for one in sources:
        item = new_item()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class or MR, one.uid
        if one.frame is not None:
            item.ReferencedFrameNumber = one.frame
        item.PurposeOfReferenceCodeSequence = sequence([code("121322", "DCM", SOURCE)])
        items.append(item)
    return sequence(items)


def placed(grid: Geometry) -> tuple[tuple[Array, float], tuple[Array, float], Any, Any]:
    """Return direction and spacing along columns, the same along rows, the step to the next plane, the first voxel.

    All in LPS [mm].
    """
    affine = grid.affine
    steps = (LPS_TO_RAS @ affine[:3, :3]).T
    lengths = np.linalg.norm(steps, axis=1)
    first = LPS_TO_RAS @ affine[:3, 3]
    return (steps[0] / lengths[0], float(lengths[0])), (steps[1] / lengths[1], float(lengths[1])), steps[2], first


def number_text(value: float) -> str:
    """Return a number in the sixteen characters that DICOM has for it."""
    return str(require("pydicom.valuerep", GROUP).DSfloat(float(value) + 0.0, auto_format=True))


def put_in_place(made: Any, grid: Geometry, place: int) -> None:
    """Say where a plane of a grid lies.

    Args:
        made: The object, changed in place.
        grid: Of the volume.
        place: Of the plane.
    """
    across, down, step, first = placed(grid)
    made.ImageOrientationPatient = [number_text(v) for v in (*across[0], *down[0])]
    made.PixelSpacing = [number_text(down[1]), number_text(across[1])]
    made.ImagePositionPatient = [number_text(v) for v in first + place * step]
    made.SliceThickness = number_text(float(np.linalg.norm(step)))
