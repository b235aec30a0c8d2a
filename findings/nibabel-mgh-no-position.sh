#!/usr/bin/env bash
# nibabel 5.4.2 turns an MGH file that knows no position (`goodRASFlag` 0) upside down against FreeSurfer, and hides it.
#
# The flag tells whether voxel size, directions and centre of the header count. Where it is 0, FreeSurfer takes coronal
# slices of 1 mm: voxels run left, down and to the front (LIA; `setDirectionCosine` in its mriio.cpp), and says so. nibabel
# means to do the same, but its header holds the directions as rows and its default has them as columns: the voxels run
# left, UP and to the BACK (LSP), half a turn about the left–right axis. It then sets the flag of the header to 1
# and puts the made-up voxel size in place of the file's, so nobody who asks can tell, and a copy declares it as known.
# A file written anew without an affine, `MGHImage(voxels, None)`, lies the same. Such files exist: the R package
# freesurferformats sets 0 where it is given no matrix.
#
# By hand: bytes 28 and 29 are the flag, 0; after it stand the voxel size 0.5 × 0.5 × 2 and directions along the axes.
#
# Seen (Python 3.11):
#   flag in the file 0, in the header read 1, in a copy 1
#   voxel size in the file (0.5, 0.5, 2.0), in the header read (1.0, 1.0, 1.0)
#   voxels run to: ('L', 'S', 'P'), without an affine ('L', 'S', 'P'); in FreeSurfer LIA
#
# What helps: read the two bytes at 28 (of the unpacked file) first, and refuse the file where they are 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile nibabel==5.4.2 numpy==2.4.6
cd "$folder"
bin/python -I - <<'PYTHON'
import struct
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

HEADER_BYTES, FLAG_AT, FLOAT = 284, 28, 3
VOXEL_SIZE = 0.5, 0.5, 2.0
voxels = np.zeros(3 * 4 * 5, dtype=">f4")

sizes = struct.pack(">7i", 1, 3, 4, 5, 1, FLOAT, 0)  # version, three sides, one frame, type, degrees of freedom
place = struct.pack(">15f", *VOXEL_SIZE, 1, 0, 0, 0, 1, 0, 0, 0, 1, 10, 20, 30)
header = sizes + struct.pack(">h", 0) + place
Path("scan.mgh").write_bytes(header.ljust(HEADER_BYTES, b"\0") + voxels.tobytes())


def flag(path):
    return struct.unpack_from(">h", Path(path).read_bytes(), FLAG_AT)[0]


image = nib.load("scan.mgh")
nib.save(image, "copy.mgh")
flags = flag("scan.mgh"), int(image.header["goodRASFlag"]), flag("copy.mgh")
size = tuple(float(length) for length in image.header.get_zooms())
axes = nib.aff2axcodes(image.affine)
nib.save(nib.MGHImage(voxels.reshape(3, 4, 5).astype(np.float32), None), "anew.mgh")
anew = nib.aff2axcodes(nib.load("anew.mgh").affine)
print("flag in the file {}, in the header read {}, in a copy {}".format(*flags))
print(f"voxel size in the file {VOXEL_SIZE}, in the header read {size}")
print(f"voxels run to: {axes}, without an affine {anew}; in FreeSurfer LIA")
if (flags, size, axes, anew) != ((0, 1, 1), (1.0, 1.0, 1.0), ("L", "S", "P"), ("L", "S", "P")):
    sys.exit("the behaviour changed")
PYTHON
