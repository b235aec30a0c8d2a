#!/usr/bin/env bash
# dcm2niix 1.0.20260724: the JSON that it writes beside a PET scan cannot give SUV, though the DICOM files can.
#
# SUV needs activity, dose, body weight and the time from the injection to the time of decay correction. All are in the
# DICOM files, and PET-BIDS asks for `InjectionStart`. dcm2niix writes activity, dose and the time of correction.
# `PatientWeight` comes only with `-ba n`, which also writes the patient's name and date of birth; that is documented.
# The time of the injection comes in neither case, under no name: since 1.0.20260416 `InjectionStart` is left out, as some
# scanners give the time at which the dose was measured (dcm2niix's issue 983).
#
# By hand: 1000 Bq/mL, 70 kg, 350 MBq of F-18 at 10:00, corrected to 11:00: 2^(-3600 / 6586.2) = 0.685 of the dose is
# left; SUV = 1000 × 70000 / (350e6 × 0.685) = 0.292. Whoever takes the dose as it is, for want of the time, gets 0.200.
#
# Seen (Python 3.11, pydicom 3.0.2):
#   default: Units Bq/mL, InjectedRadioactivity 350 MBq, ImageDecayCorrectionTime 0, PatientWeight None
#   -ba n: Units Bq/mL, InjectedRadioactivity 350 MBq, ImageDecayCorrectionTime 0, PatientWeight 70
#   fields that hold 10:00 or name the injection's time: default [], -ba n []
#   the nuclide, by its code's meaning ^18^Fluorine: 18Fluorine
#
# What helps: take weight and RadiopharmaceuticalStartTime from the DICOM files and write them into the JSON.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    dcm2niix==1.0.20260724 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
bin/python -I - <<'PYTHON'
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

SLICES = 4
same = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
Path("dicom").mkdir()

nuclide = Dataset()
nuclide.CodeValue, nuclide.CodingSchemeDesignator, nuclide.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
tracer = Dataset()
tracer.Radiopharmaceutical = "FDG"
tracer.RadiopharmaceuticalStartTime = "100000"
tracer.RadiopharmaceuticalStartDateTime = "20200101100000"
tracer.RadionuclideTotalDose = 350e6
tracer.RadionuclideHalfLife = 6586.2
tracer.RadionuclideCodeSequence = [nuclide]

for number in range(SLICES):
    plane = Dataset()
    plane.file_meta = FileMetaDataset()
    plane.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plane.SOPClassUID = plane.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    plane.SOPInstanceUID = plane.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    plane.update(same)
    plane.Modality, plane.Manufacturer, plane.ProtocolName, plane.PatientPosition = "PT", "SIEMENS", "body", "HFS"
    plane.PatientName, plane.PatientID, plane.PatientWeight = "Made^Up", "1", 70
    plane.StudyDate = plane.SeriesDate = plane.AcquisitionDate = plane.ContentDate = "20200101"
    plane.StudyTime = plane.SeriesTime = plane.AcquisitionTime = plane.ContentTime = "110000"
    plane.SeriesNumber, plane.InstanceNumber, plane.ImageIndex = 1, number + 1, number + 1
    plane.ImageType, plane.SeriesType, plane.NumberOfSlices = ["ORIGINAL", "PRIMARY"], ["WHOLE BODY", "IMAGE"], SLICES
    plane.Units, plane.CorrectedImage, plane.DecayCorrection, plane.DecayFactor = "BQML", ["DECY", "ATTN"], "START", 1
    plane.FrameReferenceTime, plane.ActualFrameDuration = 0, 120000
    plane.RadiopharmaceuticalInformationSequence = [tracer]
    plane.Rows = plane.Columns = 8
    plane.BitsAllocated = plane.BitsStored = 16
    plane.HighBit, plane.PixelRepresentation, plane.SamplesPerPixel = 15, 0, 1
    plane.PhotometricInterpretation, plane.RescaleSlope, plane.RescaleIntercept = "MONOCHROME2", 1, 0
    plane.PixelSpacing, plane.SliceThickness = [4, 4], 4
    plane.ImagePositionPatient, plane.ImageOrientationPatient = [0, 0, 4 * number], [1, 0, 0, 0, 1, 0]
    plane.PixelData = np.full((8, 8), 1000, dtype="<u2").tobytes()
    plane.save_as(f"dicom/{number}.dcm", enforce_file_format=True)


def sidecar(name, *options):
    command = ["bin/dcm2niix", "-b", "y", *options, "-f", name, "-o", ".", "dicom"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads(Path(f"{name}.json").read_text(encoding="utf-8"))


def names_the_injection(field, value):
    return bool(re.search(r"InjectionStart|InjectionEnd|Radiopharmaceutical.*Time", field) or "10:00" in str(value))


written = {"default": sidecar("default"), "-ba n": sidecar("named", "-ba", "n")}
for options, facts in written.items():
    dose = f"{facts['InjectedRadioactivity']} {facts['InjectedRadioactivityUnits']}"
    corrected, weight = facts["ImageDecayCorrectionTime"], facts.get("PatientWeight")
    line = f"Units {facts['Units']}, InjectedRadioactivity {dose}, ImageDecayCorrectionTime {corrected}"
    print(f"{options}: {line}, PatientWeight {weight}")
times = [[field for field, value in facts.items() if names_the_injection(field, value)] for facts in written.values()]
print("fields that hold 10:00 or name the injection's time: default {}, -ba n {}".format(*times))
print("the nuclide, by its code's meaning ^18^Fluorine:", written["default"]["TracerRadionuclide"])
weights = [facts.get("PatientWeight") for facts in written.values()]
if (times, weights) != ([[], []], [None, 70]):
    sys.exit("the behaviour changed")
PYTHON
