"""DICOM series of our own making, as small as they can be."""

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MARK = "ZQXPHI"
"""In everything that tells who the patient is."""


def empty(sop_class=MRImageStorage, syntax=ExplicitVRLittleEndian):
    """A data set that can be written."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    return made


def identify(made, patient="1", study="1", series="1"):
    """Give a data set a patient, a study and a series, all with the token."""
    made.PatientID, made.PatientName = f"{MARK}id{patient}", f"{MARK}name^{MARK}"
    made.PatientBirthDate, made.AccessionNumber = "19500101", f"{MARK}acc"[:16]
    made.ReferringPhysicianName, made.InstitutionName = f"{MARK}doc", f"{MARK}hospital"
    made.StudyDescription, made.OperatorsName = f"{MARK} study", f"{MARK}operator"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.3.{patient}.{study}", f"1.2.3.{patient}.{study}.{series}"
    made.FrameOfReferenceUID = f"1.2.4.{patient}.{study}"
    made.StudyDate, made.StudyTime, made.SeriesNumber = "20200101", "101500", int(series)
    return made


def pixels_of(made, plane):
    """Give a data set pixels of 16 bits."""
    made.Rows, made.Columns = plane.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, int(plane.dtype.kind == "i")
    made.PixelData = np.ascontiguousarray(plane).tobytes()
    return made


def write_series(
    folder,
    volume,
    *,
    orientation=AXIAL,
    spacing=(2.0, 1.5),
    step=(0.0, 0.0, 3.0),
    origin=(0.0, 0.0, 0.0),
    about=None,
    each=None,
    who=None,
    sop_class=MRImageStorage,
    modality="MR",
    order=None,
):
    """Write a volume `(Z, rows, columns)` as a file a plane, by names that tell no order; return the data sets.

    `about` are elements of all, `each(made, place)` changes one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(len(list(folder.iterdir()))).permutation(len(volume))
    written = []
    for place, plane in enumerate(volume):
        made = identify(empty(sop_class), **(who or {}))
        made.Modality, made.ImageType = modality, ["ORIGINAL", "PRIMARY", "M"]
        made.ImageOrientationPatient, made.PixelSpacing = list(orientation), list(spacing)
        made.ImagePositionPatient = [float(o + place * s) for o, s in zip(origin, step, strict=True)]
        made.InstanceNumber = int(names[place]) + 1
        for name, value in (about or {}).items():
            setattr(made, name, value)
        pixels_of(made, plane)
        if each is not None:
            each(made, place)
        path = folder / f"{made.SeriesInstanceUID}-{len(list(folder.iterdir())):03d}-{names[place]:03d}"
        made.save_as(path, enforce_file_format=True)
        written.append((path, made))
    return written


def enhanced(volume, positions, slopes=None, temporal=None, who=None):
    """Return an enhanced MR of frames `(N, rows, columns)` at positions, each with its own rescaling."""
    made = identify(empty(EnhancedMRImageStorage), **(who or {}))
    made.Modality, made.ImageType, made.NumberOfFrames = "MR", ["ORIGINAL", "PRIMARY", "M", "NONE"], len(volume)
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([Dataset()]), Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence[0].PixelSpacing = [2.0, 1.5]
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number, position in enumerate(positions):
        own = Dataset()
        own.PlanePositionSequence, own.FrameContentSequence = Sequence([Dataset()]), Sequence([Dataset()])
        own.PlanePositionSequence[0].ImagePositionPatient = [float(one) for one in position]
        if temporal is not None:
            own.FrameContentSequence[0].TemporalPositionIndex = int(temporal[number])
        if slopes is not None:
            own.PixelValueTransformationSequence = Sequence([Dataset()])
            own.PixelValueTransformationSequence[0].RescaleSlope = slopes[number]
            own.PixelValueTransformationSequence[0].RescaleIntercept = -1.0
            own.PixelValueTransformationSequence[0].RescaleType = "US"
        frames.append(own)
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return pixels_of(made, volume)


def ct_values(shape=(5, 6, 7), seed=0):
    """Return a volume of whole numbers `(Z, rows, columns)`."""
    return np.random.default_rng(seed).integers(-900, 1200, shape).astype(np.int16)
