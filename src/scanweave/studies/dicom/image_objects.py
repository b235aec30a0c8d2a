"""Synthetic scans as derived images, a plane each: CT, PET or MR."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import scanweave
from scanweave.external import require
from scanweave.studies.dicom.object_parts import (
    GROUP,
    MAKER,
    WORDS,
    code,
    common_parts,
    number_text,
    put_in_place,
    sequence,
    source_items,
)
from scanweave.studies.dicom.object_sources import MR, Origin, Source
from scanweave.studies.scan import Scan

CT, PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128"
IMAGE_TYPES = {
    MR: ["DERIVED", "SECONDARY", "OTHER"],
    CT: ["DERIVED", "SECONDARY", "AXIAL"],
    PET: ["DERIVED", "PRIMARY"],  # the standard knows no secondary PET
}
MOST_STORED, FEW_LEVELS = 32_767, 1_000
"""Largest stored number; range below which values are stretched, so that rounding shows no steps."""
KINDS = {"ct": CT, "cta": CT, "pet": PET}
"""SOP class by the first word of a scan's name; all others are MR."""
SUV, UNITS = "GML", {"": "GML", "g/mL": "GML", "Bq/mL": "BQML"}
"""Standardised uptake values; words of DICOM by the unit that a PET was imported in: SUV where its study has none."""


class Stored(NamedTuple):
    """Hold whole numbers that stand for values.

    Attributes:
        numbers: `(X, Y, Z, T)`.
        scale: How many of them one value is.
    """

    numbers: NDArray[np.int16]
    scale: float


def sop_class_of(name: str) -> str:
    """Return the SOP class of a scan by its name: CT for ct and cta, PET for pet and pet_fdg, else MR."""
    return KINDS.get(name.split("_")[0], MR)


def image_objects(
    name: str, scan: Scan, origin: Origin, number: int, sources: Sequence[str] | None = None
) -> Iterator[Any]:
    """Yield a scan as derived images, a plane each, in order of time and place.

    Args:
        name: Of the scan.
        scan: `(X, Y, Z)`, or a series of them `(X, Y, Z, T)`.
        origin: Its sources.
        number: Of the series.
        sources: Names of the scans that it was made of; None: all but itself.

    Raises:
        ScanweaveError: No source tells its frame of reference.
    """
    used = (
        [one for one in origin.scans if one != name] if sources is None else [s for s in sources if s in origin.scans]
    )
    sop_class = sop_class_of(name)
    stored = _stored(np.asarray(scan.data, np.float64), sop_class)
    series = require("pydicom.uid", GROUP).generate_uid()
    space = origin.frame_of_reference(scan.geometry)
    planes, moments = stored.numbers.shape[2:]
    times = scan.times if scan.times is not None and len(scan.times) == moments else range(moments)
    for moment in range(moments):
        for place in range(planes):
            made = common_parts(origin, sop_class, series, number, f"{WORDS}: {name}")
            _derived(made, list(origin.sources(used, scan.geometry, place)), name, stored.scale)
            made.FrameOfReferenceUID, made.PositionReferenceIndicator = space, ""
            made.InstanceNumber = moment * planes + place + 1
            put_in_place(made, scan.geometry, place)
            made.SpacingBetweenSlices = made.SliceThickness
            if moments > 1 and sop_class != PET:
                made.TemporalPositionIdentifier, made.NumberOfTemporalPositions = moment + 1, moments
            _pixels(made, stored.numbers[:, :, place, moment].T)
            _of_kind(made, stored.scale, (planes, moments), float(times[moment]))
            if sop_class == PET:
                _put_unit(made, origin.scans[name].unit if name in origin.scans else "")
            yield made


def _stored(data: NDArray[np.float64], sop_class: str) -> Stored:
    """Return whole numbers that stand for values: HU stay as they are, a small range is stretched."""
    whole = data[..., None] if data.ndim == 3 else data
    if sop_class == CT:
        return Stored(np.clip(np.rint(whole), -MOST_STORED, MOST_STORED).astype(np.int16), 1.0)
    low, high = min(0.0, float(whole.min())), float(whole.max())
    most = max(abs(low), abs(high))
    if sop_class == PET:  # its rescaling keeps the values: all levels are used
        scale = MOST_STORED / most if most > 0 else 1.0
    else:
        few = FEW_LEVELS * 4 / (high - low) if high > low else 1.0
        scale = 1.0 if high - low >= FEW_LEVELS and most <= MOST_STORED else min(few, MOST_STORED / max(most, 1e-30))
    return Stored(np.clip(np.rint(whole * scale), -MOST_STORED, MOST_STORED).astype(np.int16), scale)


def _derived(made: Any, sources: Sequence[Source], name: str, scale: float) -> None:
    """Say that an image was made of others, and by what."""
    made.ImageType = IMAGE_TYPES[str(made.SOPClassUID)]
    stretched = "" if scale == 1 or made.SOPClassUID == PET else f"; stored numbers are values times {scale:.6g}"
    made.DerivationDescription = f"{WORDS}: {name} made from other images by {MAKER} {scanweave.__version__}{stretched}"
    made.DerivationCodeSequence = sequence([code("113091", "DCM", "Pixel by pixel calculation")])
    if sources:
        made.SourceImageSequence = source_items(sources)
    made.ImageComments, made.BurnedInAnnotation = WORDS, "NO"
    made.AcquisitionNumber, made.AcquisitionDate, made.AcquisitionTime = None, "", ""
    made.LossyImageCompression, made.Laterality, made.PatientPosition = "00", "", ""


def _pixels(made: Any, plane: NDArray[Any]) -> None:
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelData = np.ascontiguousarray(plane).tobytes()


def _of_kind(made: Any, scale: float, size: tuple[int, int], time: float) -> None:
    """Add what images of its kind must have, and a window that shows all of the plane."""
    slope = 1.0
    if made.SOPClassUID == CT:
        made.Modality, made.RescaleIntercept, made.RescaleSlope, made.RescaleType, made.KVP = "CT", 0, 1, "HU", None
    elif made.SOPClassUID == PET:
        slope = float(number_text(1 / scale))
        _pet(made, slope, size, time)
    else:
        made.Modality, made.ScanningSequence, made.SequenceVariant = "MR", "RM", "NONE"
        made.ScanOptions, made.MRAcquisitionType = "", ""
        made.RepetitionTime = made.EchoTime = made.EchoTrainLength = None
    plane = np.frombuffer(made.PixelData, np.int16)
    low, high = slope * float(plane.min()), slope * float(plane.max())
    made.WindowCenter, made.WindowWidth = number_text((low + high) / 2), number_text(max(high - low, slope))


def _pet(made: Any, slope: float, size: tuple[int, int], time: float) -> None:
    """Add the modules of a PET: nothing was counted and nothing was injected for it."""
    now = datetime.datetime.now(datetime.UTC)
    made.Modality, made.RescaleIntercept, made.RescaleSlope = "PT", 0, number_text(slope)
    made.SeriesDate, made.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.CountsSource = "EMISSION"
    made.SeriesType, made.NumberOfSlices = ["DYNAMIC" if size[1] > 1 else "STATIC", "IMAGE"], size[0]
    if size[1] > 1:
        made.NumberOfTimeSlices = size[1]
    made.CorrectedImage, made.DecayCorrection, made.CollimatorType = "", "NONE", ""
    for name in ("RadiopharmaceuticalInformation", "PatientOrientationCode", "PatientGantryRelationshipCode"):
        setattr(made, f"{name}Sequence", sequence([]))
    del made.PatientPosition  # the sequence stands in its place
    made.FrameReferenceTime, made.ActualFrameDuration = number_text(1000 * time), None
    made.ImageIndex = made.InstanceNumber


def _put_unit(made: Any, unit: str) -> None:
    made.Units = UNITS.get(unit, "NONE")
    if made.Units == SUV:
        made.SUVType = "BW"  # an import says so: SUV of another kind has a unit of its own
