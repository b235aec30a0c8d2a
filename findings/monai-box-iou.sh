#!/usr/bin/env bash
# MONAI 1.6.1: `monai.data.box_utils.box_iou` of float64 boxes is computed in float32, with 1.2e-7 (float32's epsilon)
# added to the union, and returned as float64.
#
# The docstring promises the dtype of the boxes, and names no unit. Two kinds of valid boxes are hurt:
# - normalised ones (corners from 0 to 1, as in DETR): the epsilon is an area of its own size there, so a small box
#   does not match itself;
# - such with large corners (whole slides, world coordinates): float32 keeps 1/128 of a pixel at 80000.
#
# By hand: the IoU of a box with itself is 1. A cube of 1/200 of the image has a volume of 1.25e-7, so MONAI's is
# 1.25 / (1.25 + 1.19) = 0.51. Boxes of 9.7 × 9.7 and 11.5 × 8.9 that share 8.6 × 7.8: 67.08 / 129.36 = 0.51855.
#
# Seen (Python 3.11, torch 2.15.0, torchvision 0.29.2):
#   square of 0.001 with itself:  MONAI 0.89349  torchvision 1.00000
#   boxes at 0:  MONAI 0.51855  torchvision 0.51855
#   boxes at 80000:  MONAI 0.51821  torchvision 0.51855
#   cube of 0.005 with itself:  MONAI 0.51186
#
# What helps: voxel units, counted from the image's own corner, or torchvision's `box_iou` for 2D boxes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    monai==1.6.1 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import torch
from monai.data.box_utils import box_iou
from torchvision.ops import box_iou as torchvision_iou


def box(*corners):
    return torch.tensor([corners], dtype=torch.float64)


thousandth = box(0.4, 0.4, 0.401, 0.401)
cube = box(0.4, 0.4, 0.4, 0.405, 0.405, 0.405)
near = box(0.3, 0.3, 10, 10), box(1.4, 2.2, 12.9, 11.1)
far = tuple(corners + 80000 for corners in near)
flat = {"square of 0.001 with itself": (thousandth, thousandth), "boxes at 0": near, "boxes at 80000": far}

seen = {name: (box_iou(*pair).item(), torchvision_iou(*pair).item()) for name, pair in flat.items()}
cube_with_itself = box_iou(cube, cube).item()
for name, (monai, torchvision) in seen.items():
    print(f"{name}:  MONAI {monai:.5f}  torchvision {torchvision:.5f}")
print(f"cube of 0.005 with itself:  MONAI {cube_with_itself:.5f}")
expected = [(0.89349, 1.0), (0.51855, 0.51855), (0.51821, 0.51855), (0.51186,)]
given = [*seen.values(), (cube_with_itself,)]
if [tuple(round(iou, 5) for iou in row) for row in given] != expected or box_iou(*far).dtype != torch.float64:
    sys.exit("the behaviour changed")
PYTHON
