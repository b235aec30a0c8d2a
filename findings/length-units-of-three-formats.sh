#!/usr/bin/env bash
# SimpleITK 2.5.7 heeds a declared unit of length in NIfTI, not in NRRD or MetaImage; nibabel 5.4.2 not in NIfTI either.
#
# All three formats can say that their lengths are micrometres: NIfTI by `xyzt_units`, NRRD by `space units`, MetaImage
# by `DistanceUnits`. Both libraries speak of mm: SimpleITK's spacing is one in mm, and nibabel describes its affine
# as one into mm. SimpleITK turns NIfTI's micrometres into mm and takes those of the other two for mm. nibabel hands
# NIfTI's on as they are. So for one valid file the two differ by 1000, and what SimpleITK reads from NRRD and writes as
# NIfTI declares mm: then the factor of 1000 can no longer be seen.
#
# By hand: voxels of 500 × 500 × 2000 µm are 0.5 × 0.5 × 2 mm.
#
# Seen (Python 3.11), spacing that is taken for mm:
#   SimpleITK, NIfTI: (0.5, 0.5, 2.0)
#   SimpleITK, NRRD: (500.0, 500.0, 2000.0)
#   SimpleITK, MetaImage: (500.0, 500.0, 2000.0)
#   nibabel, NIfTI: (500.0, 500.0, 2000.0)
#   NRRD written as NIfTI by SimpleITK declares: mm
#
# What helps: read the unit (`header.get_xyzt_units()` in nibabel, the text of the other headers) and divide.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
bin/python -I - <<'PYTHON'
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

MICROMETRES = 500.0, 500.0, 2000.0
MILLIMETRES = 0.5, 0.5, 2.0
voxels = np.arange(24, dtype="<i2")

nifti = nib.Nifti1Image(voxels.reshape(2, 3, 4), np.diag([*MICROMETRES, 1]))
nifti.header.set_xyzt_units("micron")
nifti.set_sform(nifti.affine, code=1)
nifti.set_qform(nifti.affine, code=1)
nib.save(nifti, "scan.nii")

nrrd = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 2 3 4
space directions: (500,0,0) (0,500,0) (0,0,2000)
space units: "um" "um" "um"
space origin: (0,0,0)
kinds: domain domain domain
endian: little
encoding: raw

"""
Path("scan.nrrd").write_bytes(nrrd.encode() + voxels.tobytes())

metaimage = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
DistanceUnits = um
ElementSpacing = 500 500 2000
DimSize = 2 3 4
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
Path("scan.mha").write_bytes(metaimage.encode() + voxels.tobytes())


def spacing(path):
    return tuple(round(length, 6) for length in sitk.ReadImage(path).GetSpacing())


seen = {
    "SimpleITK, NIfTI": spacing("scan.nii"),
    "SimpleITK, NRRD": spacing("scan.nrrd"),
    "SimpleITK, MetaImage": spacing("scan.mha"),
    "nibabel, NIfTI": tuple(nib.affines.voxel_sizes(nib.load("scan.nii").affine).tolist()),
}
sitk.WriteImage(sitk.ReadImage("scan.nrrd"), "copy.nii")
declared = nib.load("copy.nii").header.get_xyzt_units()[0]
for name, lengths in seen.items():
    print(f"{name}: {lengths}")
print("NRRD written as NIfTI by SimpleITK declares:", declared)
if (*seen.values(), declared) != (MILLIMETRES, MICROMETRES, MICROMETRES, MICROMETRES, "mm"):
    sys.exit("the behaviour changed")
PYTHON
