"""Headers of DICOM files as series of frames: what is read of each file, and of each frame of an enhanced one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.dicom.mosaics import CSA_TAGS, Tiles, tiles_of
from scanweave.studies.dicom.reading import GROUP, dicom_faults, first_item, number_of, numbers_of, text_of, words_of
from scanweave.studies.formats.header_limits import MAX_VOXELS_PER_AXIS

SIEMENS_B, GE_B, PHILIPS_B = 0x0019100C, 0x00431039, 0x20011003
"""Private elements with the b-value of a classic file, by maker."""
GE_B_OFFSET = 10**9
"""Added to b-values by newer scanners of GE."""
IDENTITY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Elements of the patient and the study that a derived object needs to be filed where its sources are."""
FACTS = (
    "Modality",
    "SeriesDescription",
    "ProtocolName",
    "SeriesNumber",
    "SeriesDate",
    "SeriesTime",
    "Manufacturer",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "AngioFlag",
    "SequenceName",
    "PulseSequenceName",
    "EchoPlanarPulseSequence",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "MagneticFieldStrength",
    "ContrastBolusAgent",
    "BurnedInAnnotation",
    "BodyPartExamined",
    "ViewPosition",
    "ImageLaterality",
    "Laterality",
    "FrameOfReferenceUID",
    "Units",
    "DecayCorrection",
    "CorrectedImage",
    "PatientWeight",
    "TemporalResolution",
)
"""Elements of a series that say what it shows."""
_FRAME = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "DiffusionBValue",
    "ComplexImageComponent",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "RadiopharmaceuticalInformationSequence",
    "ContrastBolusAgentSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "SUVType",
    SIEMENS_B,
    GE_B,
    PHILIPS_B,
    *CSA_TAGS,
)
FILMS = ("CR", "DX", "MG", "RG", "XA", "PX", "IO")
"""Modalities whose images are projections."""
CONTOURS = "RTSTRUCT"
"""Modality of files that hold contours and no pixels."""
DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR."""
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
"""Start of the SOP classes of secondary captures."""
MOSAIC = "MOSAIC"
"""Word of ImageType of a file in which Siemens keeps the planes of a volume side by side."""
SAME = "the same instance as another file"
CHUNK = 512
"""Files that are read together."""
Run = Callable[..., Iterable[Any]]
DAY_SECONDS = 24 * 3600
_CLOCK = re.compile(r"(\d{2})(\d{2})(\d{2}(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane of pixels.

    Attributes:
        file: That holds it.
        number: Its place in the file, from 0.
        uid: SOPInstanceUID of the file.
        rows: Of the plane.
        columns: Of the plane.
        position: Of the centre of its first pixel [mm, LPS]; None: not told.
        orientation: Directions in which columns and then rows are counted, `(6,)`; None: not told.
        spacing: Distance of rows and of columns [mm]; None: not told.
        type: Words of ImageType, or of the frame's own.
        b_value: Diffusion weighting [s/mm²]; None: not told.
        echo: Echo time [ms]; None: not told.
        temporal: Number of the time point; None: not told.
        time: Of the acquisition [s], or of the time point; None: not told.
        trigger: Of the acquisition in a cycle, such as the heart's [ms]; None: not told.
        instance: Number of the instance, then of the frame.
        slope: Of the rescaling of this frame alone; None: the file's own holds.
        intercept: Likewise.
        burned: Whether its pixels show who the patient is, as the file says.
        view: Of a film.
        side: Of a film: L or R.
        tile: First row and column in the stored plane, of one of a mosaic; None: the whole plane.
    """

    file: Path
    number: int
    uid: str
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    type: tuple[str, ...]
    b_value: float | None
    echo: float | None
    temporal: int | None
    time: float | None
    trigger: float | None
    instance: tuple[int, int]
    slope: float | None = None
    intercept: float | None = None
    burned: bool = False
    view: str = ""
    side: str = ""
    tile: tuple[int, int] | None = None


@dataclass
class Series:
    """The frames of one series, and what its first file says.

    Attributes:
        uid: SeriesInstanceUID.
        sop_class: Of its first file.
        identity: Elements of patient and study.
        facts: Elements that say what it shows, by keyword.
        frames: In no order.
        pet: What BIDS calls the facts of a PET scan's unit.
    """

    uid: str
    sop_class: str
    identity: dict[str, str]
    facts: dict[str, Any]
    frames: list[Frame] = field(default_factory=list)
    pet: dict[str, Any] = field(default_factory=dict)

    @property
    def modality(self) -> str:
        """Such as MR, CT, PT."""
        return str(self.facts.get("Modality", ""))

    @property
    def number(self) -> str:
        """Number of the series, or a dash."""
        told = self.facts.get("SeriesNumber")
        return f"{told:.0f}" if isinstance(told, float) else "–"


def read_series(files: Sequence[Path], left_out: dict[str, list[str]], run: Run = map) -> list[Series]:
    """Return the series of some files; the same instance counts once.

    Args:
        files: Any files; those that are no DICOM images are left out.
        left_out: Takes, by reason, the names of files that are left out.
        run: Does a function with each of several arguments, here or in processes of their own.
    """
    found: dict[str, Series] = {}
    known: set[str] = set()
    for series, reasons in run(_read_some, [files[n : n + CHUNK] for n in range(0, len(files), CHUNK)]):
        for reason, names in reasons.items():
            left_out.setdefault(reason, []).extend(names)
        for key, one in series.items():
            twice = [frame for frame in one.frames if frame.uid and frame.uid in known]
            if twice:
                left_out.setdefault(SAME, []).extend(dict.fromkeys(frame.file.name for frame in twice))
                one.frames = [frame for frame in one.frames if frame not in twice]
            if not one.frames:
                continue
            if key in found:
                found[key].frames += one.frames
            else:
                found[key] = one
        known |= {frame.uid for one in series.values() for frame in one.frames}
    return list(found.values())


def _read_some(files: Sequence[Path]) -> tuple[dict[str, Series], dict[str, list[str]]]:
    """Return the series of some files by their UIDs, and the names of files that are left out by reason."""
    found: dict[str, Series] = {}
    known: set[str] = set()
    left_out: dict[str, list[str]] = {}
    for path in files:
        try:
            with dicom_faults(path):  # elements are decoded when they are looked at
                _add(found, known, path)
        except ScanweaveError as error:
            left_out.setdefault(error.reason, []).append(path.name)
    return found, left_out


def _add(found: dict[str, Series], known: set[str], path: Path) -> None:
    """Add the frames of a file to its series.

    Raises:
        ScanweaveError: It holds no image, or is the same instance as another file.
    """
    data = _header(path)
    if data is None:
        return
    uid = text_of(data, "SOPInstanceUID")
    if uid and uid in known:
        raise ScanweaveError(path, SAME, "Leave it out")
    key = text_of(data, "SeriesInstanceUID") or str(path.parent)
    frames = list(_frames(path, data))
    if key not in found:
        found[key] = _series(key, data)
    found[key].frames += frames
    known.add(uid)


def _header(path: Path) -> Any:
    """Return the header of a DICOM image; None for a DICOMDIR and for what has no pixels of its own.

    Raises:
        ScanweaveError: No DICOM file, or a damaged one.
    """
    tags = [*IDENTITY, *FACTS, *_FRAME]
    data = require("pydicom", GROUP).dcmread(path, stop_before_pixels=True, specific_tags=tags)
    named = str(data.file_meta.get("MediaStorageSOPClassUID", "")) or text_of(data, "SOPClassUID")
    return None if named == DIRECTORY else data


def _series(uid: str, data: Any) -> Series:
    facts: dict[str, Any] = {}
    for name in FACTS:
        numbers = numbers_of(data, name)
        several = words_of(data, name)
        if several:
            facts[name] = numbers[0] if len(numbers) == 1 else list(several) if len(several) > 1 else several[0]
    if not facts.get("ContrastBolusAgent"):
        agent = first_item(data, "ContrastBolusAgentSequence")
        facts |= {"ContrastBolusAgent": text_of(agent, "CodeMeaning") or "an agent"} if len(agent) else {}
    facts |= _enhanced_facts(data)
    identity = {name: text_of(data, name) for name in IDENTITY if text_of(data, name)}
    return Series(uid, text_of(data, "SOPClassUID"), identity, facts, pet=_pet_facts(data))


def _enhanced_facts(data: Any) -> dict[str, Any]:
    """Return timing of an enhanced MR, which stands in its functional groups."""
    group = first_item(data, "SharedFunctionalGroupsSequence")
    frame = first_item(data, "PerFrameFunctionalGroupsSequence")
    made: dict[str, Any] = {"ScanningSequence": "EP"} if text_of(data, "EchoPlanarPulseSequence") == "YES" else {}
    for one in (group, frame):
        timing = first_item(one, "MRTimingAndRelatedParametersSequence")
        for name in ("RepetitionTime", "FlipAngle", "EchoTrainLength"):
            if (value := number_of(timing, name)) is not None:
                made.setdefault(name, value)
        modifier = first_item(one, "MRModifierSequence")
        times = numbers_of(modifier, "InversionTimes")
        if times:
            made.setdefault("InversionTime", times[0])
        if text_of(modifier, "InversionRecovery") == "YES":
            made.setdefault("ScanningSequence", "IR")
        if (echo := number_of(first_item(one, "MREchoSequence"), "EffectiveEchoTime")) is not None:
            made.setdefault("EchoTime", echo)
    return made


def _frames(path: Path, data: Any) -> Iterator[Frame]:
    rows, columns = int(number_of(data, "Rows") or 0), int(number_of(data, "Columns") or 0)
    contours = text_of(data, "Modality") == CONTOURS
    if not contours and not (0 < rows <= MAX_VOXELS_PER_AXIS and 0 < columns <= MAX_VOXELS_PER_AXIS):
        raise ScanweaveError(path, f"holds no image ({text_of(data, 'Modality') or 'no modality'})", "Leave it out")
    uid, kind = text_of(data, "SOPInstanceUID"), (*words_of(data, "ImageType"), *_component(data))
    burned = text_of(data, "BurnedInAnnotation").upper() == "YES"
    instance = int(number_of(data, "InstanceNumber") or 0)
    several = data.get("PerFrameFunctionalGroupsSequence")
    if several is None:
        one = Frame(
            path,
            0,
            uid,
            rows,
            columns,
            _vector(data, "ImagePositionPatient", 3),
            _vector(data, "ImageOrientationPatient", 6),
            _vector(data, "PixelSpacing", 2),
            kind,
            _b_value(data),
            number_of(data, "EchoTime"),
            _whole(number_of(data, "TemporalPositionIdentifier")),
            _time(data),
            number_of(data, "TriggerTime"),
            (instance, 0),
            number_of(data, "RescaleSlope"),
            number_of(data, "RescaleIntercept"),
            burned,
            text_of(data, "ViewPosition").upper(),
            (text_of(data, "ImageLaterality") or text_of(data, "Laterality")).upper(),
        )
        tiles = tiles_of(data) if MOSAIC in kind else None
        yield from [one] if tiles is None else _tiled(one, tiles)
        return
    shared = first_item(data, "SharedFunctionalGroupsSequence")
    for number, own in enumerate(several):
        yield replace(_enhanced(path, number, uid, (rows, columns), kind, instance, (own, shared)), burned=burned)


def _tiled(whole: Frame, tiles: Tiles) -> Iterator[Frame]:
    """Yield the planes of a mosaic."""
    for number, (tile, position) in enumerate(zip(tiles.firsts, tiles.positions, strict=True)):
        instance, size = (whole.instance[0], number), (tiles.rows, tiles.columns)
        yield replace(whole, rows=size[0], columns=size[1], tile=tile, position=position, instance=instance)


def _enhanced(
    path: Path, number: int, uid: str, size: tuple[int, int], kind: tuple[str, ...], instance: int, groups: Any
) -> Frame:
    """Return a frame of an enhanced file: what its own functional groups say comes before what all share."""

    def group(name: str) -> Any:
        return next((item for item in (first_item(one, name) for one in groups) if len(item)), {})

    content, values = group("FrameContentSequence"), group("PixelValueTransformationSequence")
    about = group("MRImageFrameTypeSequence") or group("CTImageFrameTypeSequence") or group("PETFrameTypeSequence")
    offset = number_of(content, "TemporalPositionTimeOffset")
    at = text_of(content, "FrameAcquisitionDateTime") or text_of(content, "FrameReferenceDateTime")
    return Frame(
        path,
        number,
        uid,
        *size,
        _vector(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        _vector(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        _vector(group("PixelMeasuresSequence"), "PixelSpacing", 2),
        (*(words_of(about, "FrameType") or kind), *_component(about)),
        number_of(group("MRDiffusionSequence"), "DiffusionBValue"),
        number_of(group("MREchoSequence"), "EffectiveEchoTime"),
        _whole(number_of(content, "TemporalPositionIndex")),
        offset if offset is not None else _moment(at[:8], at[8:]),
        number_of(content, "NominalCardiacTriggerDelayTime"),
        (instance, number),
        number_of(values, "RescaleSlope"),
        number_of(values, "RescaleIntercept"),
    )


def _vector(data: Any, name: str, length: int) -> tuple[float, ...] | None:
    found = numbers_of(data, name)
    return found if len(found) == length else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _b_value(data: Any) -> float | None:
    """Return the b-value of a classic file: as the standard has it, else as its maker has it."""
    found = number_of(data, "DiffusionBValue")
    if found is not None:
        return found
    for tag in (SIEMENS_B, PHILIPS_B, GE_B):
        if tag not in data:
            continue
        value = data[tag].value
        several = value.split("\\") if isinstance(value, str) else value if hasattr(value, "__len__") else [value]
        try:
            first = float(several[0]) if len(several) and not isinstance(value, bytes) else float(bytes(value).decode())
        except (TypeError, ValueError, UnicodeDecodeError):
            continue
        return first % GE_B_OFFSET if tag == GE_B else first
    return None


def _component(data: Any) -> tuple[str, ...]:
    """Return the part of a complex image that a frame shows, if it is not its magnitude."""
    word = text_of(data, "ComplexImageComponent").upper()
    return () if word in ("", "MAGNITUDE", "MIXED") else (word,)


def _time(data: Any) -> float | None:
    """Return when a classic file was acquired [s]."""
    whole = text_of(data, "AcquisitionDateTime")
    if whole:
        return _moment(whole[:8], whole[8:])
    if text_of(data, "AcquisitionTime"):
        return _moment(text_of(data, "AcquisitionDate"), text_of(data, "AcquisitionTime"))
    return _moment(text_of(data, "ContentDate"), text_of(data, "ContentTime"))


def _moment(day: str, clock: str) -> float | None:
    """Return a day and a time of day [s]; without a day the seconds after midnight."""
    seconds = _seconds(clock)
    if seconds is None:
        return None
    try:
        days = datetime.date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal() if day else 0
    except ValueError:
        days = 0
    return DAY_SECONDS * days + seconds


def _seconds(text: str) -> float | None:
    """Return a time of day as DICOM writes it [s after midnight]; None where it is none."""
    found = _CLOCK.match(text.split("+")[0].split("-")[0].strip())
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _pet_facts(data: Any) -> dict[str, Any]:
    """Return what a PET's header says of its unit, by the names of PET-BIDS; empty for all else."""
    if text_of(data, "Modality") != "PT":
        return {}
    drug = first_item(data, "RadiopharmaceuticalInformationSequence")
    named = text_of(drug, "Radiopharmaceutical") or text_of(
        first_item(drug, "RadiopharmaceuticalCodeSequence"), "CodeMeaning"
    )
    start = _seconds(text_of(data, "SeriesTime")) if text_of(data, "DecayCorrection") == "START" else None
    injected = _seconds(text_of(drug, "RadiopharmaceuticalStartTime"))
    if start is not None and injected is not None and injected > start:
        start += DAY_SECONDS  # the injection was before midnight
    corrected = text_of(data, "DecayCorrection")
    facts: dict[str, Any] = {
        "Units": {"BQML": "Bq/mL", "GML": "g/mL"}.get(text_of(data, "Units"), text_of(data, "Units")),
        "PatientWeight": number_of(data, "PatientWeight"),
        "InjectedRadioactivity": number_of(drug, "RadionuclideTotalDose"),
        "InjectedRadioactivityUnits": "Bq",
        "ImageDecayCorrected": corrected in ("START", "ADMIN"),
        "InjectionStart": 0.0,
        "ImageDecayCorrectionTime": 0.0 if corrected == "ADMIN" else None,
        "RadionuclideHalfLife": number_of(drug, "RadionuclideHalfLife"),
        "TracerName": named,
        "SUVType": text_of(data, "SUVType") if text_of(data, "Units") == "GML" else "",
    }
    if start is not None and injected is not None:
        facts["ImageDecayCorrectionTime"] = start - injected
    return {name: value for name, value in facts.items() if value not in (None, "")}
