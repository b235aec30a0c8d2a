#!/usr/bin/env bash
# scikit-image 0.26.0 with SciPy 1.17.1: one very bright voxel changes the SSIM of voxels that no window joins with it.
#
# SSIM looks at a window of 7 × 7 × 7 voxels, so a voxel 40 planes away can have no part in it. But the window means come
# from `scipy.ndimage.uniform_filter`, which moves a sum along each line: the next voxel is added, the last one taken
# off. A square of 1e18 rounds away what was in the sum before, and nothing brings it back: the rest of the line is off.
# Scans hold such voxels (scanner artefacts, padding values, units). All is float64; there is no warning.
#
# By hand: both volumes get the same bright voxel in plane 5; planes 30 to 59 are those of the volumes without it, in
# value and in surroundings, so their SSIM may change by rounding of the local values alone, about 1e-14.
#
# What helps: clip outliers first, or sum each window by itself, at least every few planes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import numpy as np
from skimage.metrics import structural_similarity

draw = np.random.default_rng(3)
real = draw.uniform(0, 100, (60, 15, 15))
made = real + draw.normal(0, 10, real.shape)


def far_map():
    return structural_similarity(made, real, win_size=7, data_range=100.0, full=True)[1][30:]


before = far_map()
made[5, 7, 7] = real[5, 7, 7] = 1e9
off = float(np.abs(far_map() - before).max())
print(f"largest change 25 planes away and more: {off:.1e}")
if off < 1e-5:
    sys.exit("the behaviour changed")
PYTHON
