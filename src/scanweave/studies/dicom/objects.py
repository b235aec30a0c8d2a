"""DICOM out: synthetic scans as derived images, masks as segmentations, findings as a structured report.

Objects carry drawn names and drawn UIDs, as their cohort does; `pushing` puts the real ones back when they return to
the archive that the sources came from. Each says that it is synthetic, of which images it was made, and by what.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scanweave
from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_folder
from scanweave.studies.cohort import Cohort
from scanweave.studies.dicom.identities import Identities, OriginalScan, open_identities
from scanweave.studies.dicom.stacks import LPS_TO_RAS
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

GROUP = "dicom"
FOLDER = "dicom"
"""Folder of the objects in that of a study of the predictions."""
MR, CT, PET = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128"
MOST_STORED, FEW_LEVELS = 32_767, 1_000
"""Largest stored number; range below which values are stretched, so that rounding shows no steps."""
FIRST_SERIES = 9000
"""Number of the first series: far from those of scanners."""
MAKER = "scanweave"
ABNORMAL = ("49755003", "SCT", "Morphologically abnormal structure")
LESION, ANATOMICAL = ("52988006", "SCT", "Lesion"), ("123037004", "SCT", "Anatomical structure")
SOURCE = "Source image for image processing operation"
WORDS = "SYNTHETIC, research use only"


def write_objects(
    predictions: str | Path, identities: str | Path, say: Callable[[str], None] = lambda line: None
) -> dict[str, int]:
    """Write the predictions of studies that were imported from DICOM as DICOM objects, in a folder of each study.

    Objects of a study that are there stay as they are. A study whose objects cannot be made is said, and the rest goes
    on.

    Args:
        predictions: What `predict` wrote.
        identities: The private file of the import.
        say: Takes one line for each study that fails.

    Returns:
        How many objects of each kind were written now.

    Raises:
        ScanweaveError: highdicom is not installed, the private file is not there, or it knows none of the studies.
    """
    require("highdicom", GROUP)
    cohort, known = Cohort.open(predictions), open_identities(identities)
    meanings: Mapping[str, Mapping[str, Sequence[int]]] = cohort.about.get("structures", {})
    counts: dict[str, int] = {}
    if not any(name in known.studies for name in cohort.studies):
        step = "Name that of the import of its cohort, or leave out --dicom"
        raise ScanweaveError(known.path, "knows none of these studies", step)
    for study in cohort:
        folder = cohort.folder / study.id / FOLDER
        if folder.is_dir():
            continue
        try:
            if study.id not in known.studies:
                raise ScanweaveError(study.id, f"is no study of {known.path.name}", "Import it from DICOM")
            made = list(_objects(study, Origin(study.id, known), meanings))
        except ScanweaveError as error:
            say(f"error: {study.id}: no DICOM objects: {error.reason}")
            continue
        known.save()  # before the objects are there: whose they are is never lost
        with atomic_folder(folder) as partial:
            for kind, name, one in made:
                counts[kind] = counts.get(kind, 0) + 1
                one.save_as(partial / f"{name}.dcm", enforce_file_format=True)
    return counts


class Origin:
    """The sources of a study under the names and UIDs that its objects carry.

    Args:
        study: Its name.
        known: The private file.
    """

    def __init__(self, study: str, known: Identities) -> None:
        self.study, self.known = study, known
        held = known.studies[study]
        self.patient, self.scans = held.patient, held.scans
        self.uid = known.drawn(held.identity.get("StudyInstanceUID", study))

    def on_grid(self, grid: Geometry) -> OriginalScan | None:
        """Return the first source on a grid; None: there is none."""
        for about in self.scans.values():
            if about.affine and Geometry.of(about.shape, about.affine).matches(grid):
                return about
        return None

    def frame_of_reference(self, grid: Geometry) -> str:
        """Return the drawn UID of the space of a grid: that of the source on it, else the first that tells one.

        Raises:
            ScanweaveError: None does.
        """
        own = self.on_grid(grid)
        told = [one.frame_of_reference for one in ([own] if own else []) + list(self.scans.values())]
        if not any(told):
            raise ScanweaveError(self.study, "none of its sources tells its frame of reference", "Leave out --dicom")
        return self.known.drawn(next(filter(None, told)))

    def sources(self, name: str, grid: Geometry, place: int) -> Iterator[tuple[str, str]]:
        """Yield SOP class and drawn UID of the source images of a plane.

        Of sources on the same grid that is the same plane, of others all; the scan of that name is no source.

        Args:
            name: Of the scan that is made.
            grid: Of it.
            place: Of the plane.
        """
        for other, about in self.scans.items():
            if other == name:
                continue
            same = about.affine and len(about.instances) == grid.shape[2]
            alike = same and Geometry.of(about.shape, about.affine).matches(grid)
            for uid in about.instances[place : place + 1] if alike else about.instances:
                yield about.sop_class or MR, self.known.drawn(uid)


def _objects(
    study: Study, origin: Origin, meanings: Mapping[str, Mapping[str, Sequence[int]]]
) -> Iterator[tuple[str, str, Any]]:
    """Yield kind, file name and data set of each object of a study."""
    number = FIRST_SERIES
    for name, scan in study.scans.items():
        number += 1
        for place, made in enumerate(image_objects(name, scan, origin, number), start=1):
            yield "image", f"{name}-{place:04d}", made
    for name, mask in study.masks.items():
        number += 1
        yield "segmentation", f"mask-{name}", segmentation_object(name, mask, origin, number, meanings.get(name, {}))
    if study.labels:
        number += 1
        yield "report", "findings", report_object(study, origin, number)


def _common(origin: Origin, sop_class: str, series: str, number: int, description: str) -> Any:
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
    made.ContributingEquipmentSequence = _sequence([_equipment()])
    return made


def _equipment() -> Any:
    item = _item()
    item.Manufacturer, item.ManufacturerModelName = MAKER, MAKER
    item.SoftwareVersions = scanweave.__version__
    item.PurposeOfReferenceCodeSequence = _sequence([_code("109102", "DCM", "Processing Equipment")])
    item.ContributionDescription = WORDS
    return item


def _item() -> Any:
    return require("pydicom.dataset", GROUP).Dataset()


def _sequence(items: Sequence[Any]) -> Any:
    return require("pydicom.sequence", GROUP).Sequence(items)


def _code(value: str, scheme: str, meaning: str) -> Any:
    item = _item()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def image_objects(name: str, scan: Scan, origin: Origin, number: int) -> Iterator[Any]:
    """Yield a scan as derived images, a plane each: CT where it is called so, PET as MR has no units, else MR.

    Args:
        name: Of the scan.
        scan: `(X, Y, Z)`, or a series of them.
        origin: Its sources.
        number: Of the series.
    """
    data, sop_class = np.asarray(scan.data, np.float64), CT if name.startswith("ct") else MR
    stored, scale = _stored(data, sop_class)
    volumes = stored[..., None] if stored.ndim == 3 else stored
    series = require("pydicom.uid", GROUP).generate_uid()
    across, down, step, first = placed(scan)
    space = origin.frame_of_reference(scan.geometry)
    for moment in range(volumes.shape[3]):
        for place in range(volumes.shape[2]):
            made = _common(origin, sop_class, series, number, f"{WORDS}: {name}")
            _derived(made, origin.sources(name, scan.geometry, place), name, scale)
            made.FrameOfReferenceUID, made.PositionReferenceIndicator = space, ""
            made.InstanceNumber = moment * volumes.shape[2] + place + 1
            made.ImageOrientationPatient = [_number(v) for v in (*across[0], *down[0])]
            made.PixelSpacing = [_number(down[1]), _number(across[1])]
            made.ImagePositionPatient = [_number(v) for v in first + place * step]
            made.SliceThickness = made.SpacingBetweenSlices = _number(float(np.linalg.norm(step)))
            if volumes.shape[3] > 1:
                made.TemporalPositionIdentifier, made.NumberOfTemporalPositions = moment + 1, volumes.shape[3]
            _pixels(made, volumes[:, :, place, moment].T, sop_class)
            yield made


def placed(scan: Scan) -> tuple[tuple[NDArray[np.float64], float], tuple[NDArray[np.float64], float], Any, Any]:
    """Return direction and spacing along columns, the same along rows, the step to the next plane, the first voxel.

    All in LPS [mm].
    """
    affine = scan.geometry.affine
    steps = (LPS_TO_RAS @ affine[:3, :3]).T
    lengths = np.linalg.norm(steps, axis=1)
    first = LPS_TO_RAS @ affine[:3, 3]
    return (steps[0] / lengths[0], float(lengths[0])), (steps[1] / lengths[1], float(lengths[1])), steps[2], first


def _number(value: float) -> str:
    """Return a number in the sixteen characters that DICOM has for it."""
    return str(require("pydicom.valuerep", GROUP).DSfloat(float(value) + 0.0, auto_format=True))


def _stored(data: NDArray[np.float64], sop_class: str) -> tuple[NDArray[Any], float]:
    """Return whole numbers that stand for values, and how many of them one value is: HU stay as they are."""
    if sop_class == CT:
        return np.clip(np.rint(data), -MOST_STORED, MOST_STORED).astype(np.int16), 1.0
    low, high = min(0.0, float(data.min())), float(data.max())
    scale = 1.0 if FEW_LEVELS <= high - low <= MOST_STORED else (FEW_LEVELS * 4 / (high - low) if high > low else 1.0)
    return np.clip(np.rint(data * scale), -MOST_STORED, MOST_STORED).astype(np.int16), scale


def _derived(made: Any, sources_of: Iterator[tuple[str, str]], name: str, scale: float) -> None:
    """Say that an image was made of others, and by what."""
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"] if made.SOPClassUID == MR else ["DERIVED", "SECONDARY", "AXIAL"]
    stretched = "" if scale == 1 else f"; stored numbers are values times {scale:.6g}"
    made.DerivationDescription = f"{WORDS}: {name} made from other images by {MAKER} {scanweave.__version__}{stretched}"
    made.DerivationCodeSequence = _sequence([_code("113091", "DCM", "Pixel by pixel calculation")])
    sources = []
    for sop_class, uid in sources_of:
        item = _item()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        item.PurposeOfReferenceCodeSequence = _sequence([_code("121322", "DCM", SOURCE)])
        sources.append(item)
    made.SourceImageSequence = _sequence(sources)
    made.ImageComments, made.BurnedInAnnotation = WORDS, "NO"
    made.AcquisitionNumber, made.AcquisitionDate, made.AcquisitionTime = None, "", ""
    made.LossyImageCompression, made.Laterality, made.PatientPosition = "00", "", ""


def _pixels(made: Any, plane: NDArray[Any], sop_class: str) -> None:
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelData = np.ascontiguousarray(plane).tobytes()
    low, high = float(plane.min()), float(plane.max())
    made.WindowCenter, made.WindowWidth = _number((low + high) / 2), _number(max(high - low, 1.0))
    if sop_class == CT:
        made.Modality, made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "CT", 0, 1, "HU"
        made.KVP = None
        return
    made.Modality, made.ScanningSequence, made.SequenceVariant = "MR", "RM", "NONE"
    made.ScanOptions, made.MRAcquisitionType = "", ""
    made.RepetitionTime = made.EchoTime = made.EchoTrainLength = None


def _reference_images(mask: Scan, origin: Origin) -> list[Any]:
    """Return the source images as far as a segmentation has to know them: one a plane of the mask.

    Raises:
        ScanweaveError: No source lies on its grid, or it is a single file of many frames.
    """
    about = origin.on_grid(mask.geometry)
    if about is None:
        reason = "its mask lies on the grid of none of its sources, as after a gantry tilt"
        raise ScanweaveError(origin.study, reason, "Leave out --dicom")
    if len(about.instances) != mask.geometry.shape[2]:
        reason = "its source is a file of many frames, on which masks are not written yet"
        raise ScanweaveError(origin.study, reason, "Leave out --dicom")
    across, down, step, first = placed(mask)
    made = []
    for place, uid in enumerate(about.instances):
        one = _common(origin, about.sop_class or MR, origin.known.drawn(about.series), 1, "source")
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = origin.known.drawn(uid)
        one.FrameOfReferenceUID, one.PositionReferenceIndicator = origin.frame_of_reference(mask.geometry), ""
        one.ImageOrientationPatient = [_number(v) for v in (*across[0], *down[0])]
        one.PixelSpacing = [_number(down[1]), _number(across[1])]
        one.ImagePositionPatient = [_number(v) for v in first + place * step]
        one.SliceThickness = _number(float(np.linalg.norm(step)))
        one.Modality, one.InstanceNumber = "MR", place + 1
        one.Rows, one.Columns = mask.geometry.shape[1], mask.geometry.shape[0]
        made.append(one)
    return made


def segmentation_object(
    name: str, mask: Scan, origin: Origin, number: int, meaning: Mapping[str, Sequence[int]] | None = None
) -> Any:
    """Return a label map as a binary segmentation, a segment for each of its numbers.

    Args:
        name: Of the mask.
        mask: Labels `(X, Y, Z)`, 0 for none.
        origin: Its sources.
        number: Of the series.
        meaning: Numbers of each structure.

    Raises:
        ScanweaveError: It lies on the grid of none of its sources.
    """
    seg, sr = require("highdicom.seg", GROUP), require("highdicom.sr.coding", GROUP)
    content, uids = require("highdicom.content", GROUP), require("pydicom.uid", GROUP)
    labels = np.asarray(mask.data)
    values = [int(value) for value in np.unique(labels) if value]
    values = values or [1]
    names = {int(value): label for label, several in (meaning or {}).items() for value in several}
    by = content.AlgorithmIdentificationSequence(
        name=MAKER,
        version=scanweave.__version__,
        family=sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    described = [
        seg.SegmentDescription(
            segment_number=place,
            segment_label=label[:64],
            segmented_property_category=sr.CodedConcept(*(ABNORMAL if _is_lesion(label) else ANATOMICAL)),
            segmented_property_type=sr.CodedConcept(*(LESION if _is_lesion(label) else ANATOMICAL)),
            algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=by,
        )
        for place, label in enumerate((names.get(value, f"{name} {value}") for value in values), start=1)
    ]
    numbered = np.zeros(labels.shape, np.uint8)
    for place, value in enumerate(values, start=1):
        numbered[labels == value] = place
    made = seg.Segmentation(
        source_images=_reference_images(mask, origin),
        pixel_array=np.ascontiguousarray(numbered.transpose(2, 1, 0)),
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=uids.generate_uid(),
        series_number=number,
        sop_instance_uid=uids.generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=scanweave.__version__,
        device_serial_number="none",
        series_description=f"{WORDS}: {name}"[:64],
        omit_empty_frames=bool(numbered.any()),
    )
    made.ContributingEquipmentSequence = _sequence([_equipment()])
    return made


def _is_lesion(label: str) -> bool:
    return any(word in label.lower() for word in ("lesion", "tumor", "tumour", "metasta", "nodule"))


def report_object(study: Study, origin: Origin, number: int) -> Any:
    """Return labels and probabilities of a study as a structured report: a text each, in a container.

    Args:
        study: What was told.
        origin: Its sources.
        number: Of the series.
    """
    sop_class = "1.2.840.10008.5.1.4.1.1.88.22"
    uids = require("pydicom.uid", GROUP)
    made = _common(origin, sop_class, uids.generate_uid(), number, f"{WORDS}: findings")
    made.Modality, made.InstanceNumber = "SR", 1
    made.ReferencedPerformedProcedureStepSequence = _sequence([])
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ConceptNameCodeSequence = _sequence([_code("126000", "DCM", "Imaging Measurement Report")])
    made.PerformedProcedureCodeSequence = _sequence([])
    made.CurrentRequestedProcedureEvidenceSequence = _sequence([_evidence(origin)])
    lines = [f"{name}: {value}" for name, value in study.labels.items()]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in study.table.items()]
    items = []
    for line in [WORDS, *lines]:
        item = _item()
        item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
        item.ConceptNameCodeSequence = _sequence([_code("121071", "DCM", "Finding")])
        item.TextValue = line
        items.append(item)
    made.ContentSequence = _sequence(items)
    return made


def _evidence(origin: Origin) -> Any:
    """Return the images that a report speaks of."""
    study = _item()
    study.StudyInstanceUID, several = origin.uid, []
    for about in origin.scans.values():
        series = _item()
        series.SeriesInstanceUID, instances = origin.known.drawn(about.series), []
        for uid in about.instances:
            one = _item()
            one.ReferencedSOPClassUID = about.sop_class or MR
            one.ReferencedSOPInstanceUID = origin.known.drawn(uid)
            instances.append(one)
        series.ReferencedSOPSequence = _sequence(instances)
        several.append(series)
    study.ReferencedSeriesSequence = _sequence(several)
    return study
