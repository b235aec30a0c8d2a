#!/usr/bin/env bash
# highdicom 0.28.2 writes windows narrower than 1 that pydicom 3.0.2 refuses to apply: a parametric map with values in
# [0, 1], such as a probability, an error or a differentiation map, gets an invalid window from the obvious arguments.
#
# DICOM (PS3.3, C.11.2.1.2.1) asks for a Window Width of at least 1 where the VOI LUT Function is LINEAR, which is what an
# absent function means; narrower ones need LINEAR_EXACT. highdicom checks many such rules when it makes an object, and
# takes this one without a word. The fault shows later: in a validator, or in a reader that follows the standard.
#
# By hand: values from 0 to 0.5, so centre 0.25 and width 0.5; 0.5 < 1.
#
# Seen (Python 3.11, highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6):
#   highdicom: centre 0.25, width 0.5, function absent: written without a warning
#   pydicom: refused: The (0028,1051) Window Width must be greater than or equal to 1 for a 'LINEAR' windowing operation
#   with LINEAR_EXACT pydicom shows 0 to 0.5 as 0 to 255 of 255
#
# What helps: VOILUTTransformation(…, voi_lut_function="LINEAR_EXACT").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys
import warnings

import highdicom
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

values = np.linspace(0, 0.5, 16, dtype=np.float32).reshape(1, 4, 4)


def source():
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = MRImageStorage, meta.MediaStorageSOPInstanceUID, "MR"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = "1", "A^B", "", ""
    made.StudyDate = made.StudyTime = made.StudyID = made.AccessionNumber = made.ReferringPhysicianName = ""
    made.Rows = made.Columns = 4
    made.PixelSpacing, made.SliceThickness = [1, 1], 1
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    made.PositionReferenceIndicator = ""
    return made


def window(**function):
    """Return the window of a parametric map as highdicom writes it."""
    transformation = highdicom.VOILUTTransformation(window_center=0.25, window_width=0.5, **function)
    unit = highdicom.sr.CodedConcept("1", "UCUM", "no units")
    mapping = highdicom.pm.RealWorldValueMapping("map", "map", unit, (0.0, 0.5), slope=1.0, intercept=0.0)
    made = highdicom.pm.ParametricMap(
        [source()], values, generate_uid(), 1, generate_uid(), 1, "maker", "model", "1", "1", False, [mapping],
        voi_lut_transformations=[transformation],
    )
    return made.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0]


def shown(item):
    """Return the map as pydicom shows it by a window, in 8 bits."""
    held = Dataset()
    held.update(item)
    held.PhotometricInterpretation, held.BitsStored, held.PixelRepresentation = "MONOCHROME2", 8, 0
    return apply_windowing(values[0], held)


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    plain = window()
about = [str(one.message) for one in told if "indow" in str(one.message)]
function = plain.get("VOILUTFunction") or "absent"
said = "with a warning" if about else "without a warning"
print(f"highdicom: centre {plain.WindowCenter}, width {plain.WindowWidth}, function {function}: written {said}")
try:
    shown(plain)
    refused = ""
except ValueError as error:
    refused = str(error)
print(f"pydicom: {f'refused: {refused}' if refused else 'applied'}")
exact = shown(window(voi_lut_function="LINEAR_EXACT"))
print(f"with LINEAR_EXACT pydicom shows 0 to 0.5 as {exact.min():.0f} to {exact.max():.0f} of 255")
if about or float(plain.WindowWidth) != 0.5 or function != "absent" or "greater than or equal to 1" not in refused:
    sys.exit("the behaviour changed")
PYTHON
