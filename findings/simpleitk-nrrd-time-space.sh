#!/usr/bin/env bash
# SimpleITK 2.5.7 turns an NRRD in `right-anterior-superior` into its own axes, but not one in
# `right-anterior-superior-time`: a series and its first frame lie mirrored in x and y.
#
# SimpleITK's axes run to the left, to the back and up (LPS), so x and y of a RAS file have to change their signs. They do
# for the three-dimensional space. NRRD also defines the same spaces with time; SimpleITK takes the numbers of a file in
# these as they stand, without a warning. `left-posterior-superior-time` is right by chance, as it needs no change.
#
# By hand: 10 mm right, 20 mm front, 30 mm up is x = -10, y = -20, z = 30 in LPS.
#
# Seen (Python 3.11), where the first voxel lies [mm, LPS]:
#   right-anterior-superior: (-10.0, -20.0, 30.0)
#   right-anterior-superior-time, frame 0: (10.0, 20.0, 30.0)
#   left-posterior-superior: (-10.0, -20.0, 30.0)
#   left-posterior-superior-time, frame 0: (-10.0, -20.0, 30.0)
#
# What helps: look at `image.GetMetaData("NRRD_space")`; where it is a RAS or LAS space with time, change the signs of
# origin and direction.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
bin/python -I - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

LPS = -10.0, -20.0, 30.0
MIRRORED = 10.0, 20.0, 30.0
FRAMES = 2
frame = np.arange(24, dtype="<i2")


def header(space, size, directions, origin):
    axes = len(size.split())
    return (
        f"NRRD0005\ntype: short\ndimension: {axes}\nspace: {space}\nsizes: {size}\nspace directions: {directions}\n"
        f"space origin: {origin}\nkinds:{' domain' * axes}\nendian: little\nencoding: raw\n\n"
    ).encode()


def first_voxel(space, x, y):
    """Write one frame and, in the space with time, a series of it; return where SimpleITK sees the first voxel."""
    still = header(space, "2 3 4", "(1,0,0) (0,1,0) (0,0,1)", f"({x},{y},30)") + frame.tobytes()
    directions = "(1,0,0,0) (0,1,0,0) (0,0,1,0) (0,0,0,1)"
    series = header(f"{space}-time", f"2 3 4 {FRAMES}", directions, f"({x},{y},30,0)") + frame.tobytes() * FRAMES
    Path("still.nrrd").write_bytes(still)
    Path("series.nrrd").write_bytes(series)
    return sitk.ReadImage("still.nrrd").GetOrigin(), sitk.ReadImage("series.nrrd")[:, :, :, 0].GetOrigin()


places = {"right-anterior-superior": (10, 20), "left-posterior-superior": (-10, -20)}
seen = {space: first_voxel(space, *place) for space, place in places.items()}
for space, (still, series) in seen.items():
    print(f"{space}: {still}\n{space}-time, frame 0: {series}")
if list(seen.values()) != [(LPS, MIRRORED), (LPS, LPS)]:
    sys.exit("the behaviour changed")
PYTHON
