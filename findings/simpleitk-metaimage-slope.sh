#!/usr/bin/env bash
# SimpleITK 2.5.7 reads a MetaImage without its slope and offset: stored numbers come back where HU are declared.
#
# MetaImage has `ElementToIntensityFunctionSlope` and `…Offset` for what a stored number means. SimpleITK applies
# NIfTI's `scl_slope` and `scl_inter` on reading, and DICOM's rescale, so one expects the same here. It passes over both
# lines without a warning, and they are not among the image's metadata: after reading nobody can tell, and a copy that
# SimpleITK writes has lost them for good.
#
# By hand: stored 0, 500, 1000, 1500 with slope 2 and offset -1000 are -1000 (air), 0 (water), 1000 and 2000 HU.
#
# Seen (Python 3.11, nibabel 5.4.2):
#   NIfTI: [-1000.0, 0.0, 1000.0, 2000.0]
#   MetaImage: [0, 500, 1000, 1500]
#   metadata that name a slope or an offset: []
#   lines of a copy that name a slope: []
#
# What helps: read the two lines from the header's text, and apply them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
bin/python -I - <<'PYTHON'
import struct
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

SLOPE, OFFSET = 2, -1000
stored = np.array([0, 500, 1000, 1500], dtype="<i2")
hounsfield = (stored * SLOPE + OFFSET).tolist()

header = f"""ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
DimSize = 4 1 1
ElementSpacing = 1 1 1
ElementToIntensityFunctionSlope = {SLOPE}
ElementToIntensityFunctionOffset = {OFFSET}
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
Path("scan.mha").write_bytes(header.encode() + stored.tobytes())

SLOPE_AT = 112  # bytes from the start of a NIfTI-1 header to scl_slope and scl_inter
nifti = bytearray(nib.Nifti1Image(stored.reshape(4, 1, 1), np.eye(4)).to_bytes())
struct.pack_into("<2f", nifti, SLOPE_AT, SLOPE, OFFSET)
Path("scan.nii").write_bytes(nifti)

metaimage = sitk.ReadImage("scan.mha")
from_nifti = sitk.GetArrayFromImage(sitk.ReadImage("scan.nii")).ravel().tolist()
from_metaimage = sitk.GetArrayFromImage(metaimage).ravel().tolist()
named = [key for key in metaimage.GetMetaDataKeys() if "slope" in key.lower() or "offset" in key.lower()]
sitk.WriteImage(metaimage, "copy.mha")
in_copy = [line for line in Path("copy.mha").read_bytes().split(b"\n") if b"Slope" in line]
print("NIfTI:", from_nifti)
print("MetaImage:", from_metaimage)
print("metadata that name a slope or an offset:", named)
print("lines of a copy that name a slope:", in_copy)
if (from_nifti, from_metaimage, named, in_copy) != (hounsfield, stored.tolist(), [], []):
    sys.exit("the behaviour changed")
PYTHON
