#!/usr/bin/env bash
# MedPy 0.5.2, MONAI 1.6.1 and DeepMind's surface-distance 0.1 give 0, 10 and 9 for the HD95 of one pair of masks.
#
# Each calls it the 95th percentile of the Hausdorff distance, over other sets of distances:
# - MONAI: the larger of the two directions' percentiles, between centres of the border's pixels;
# - MedPy: one percentile of both directions' distances together, between the same centres;
# - DeepMind: the larger of the two directions' percentiles, weighted by the length (area) of the border's elements,
#   which lie between the pixels.
#
# By hand: the truth is a row of 46 pixels; the prediction is that row and 4 pixels ten rows below, spacing 1.
#   MONAI: predicted to true 46 × 0 and 4 × 10; 8 % are wrong, so the percentile is 10. True to predicted: 0.
#   MedPy: 92 × 0 and 4 × 10 of 96; 4.2 % are wrong, so the percentile is 0.
#   DeepMind: the outline runs between the pixels; of the 4 false ones one half is at 9, the other at 10. The element
#   at each end counts 0.71, those between count 1: in all 92.83 at 0, 4.41 at 9, 4.41 at 10; the last is 4.3 %: 9.
#
# Seen (Python 3.11, torch 2.15.0):
#   MONAI 10.0  MedPy 0.0  DeepMind 9.0
#
# What helps: say whose HD95 it is, and compare no two figures of different ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    medpy==0.5.2 monai==1.6.1 surface-distance==0.1 torch==2.15.0 numpy==2.4.6 scipy==1.17.1 SimpleITK==2.5.7
"$folder/bin/python" -I -W ignore::FutureWarning - <<'PYTHON'
import sys

import numpy as np
import torch
from medpy.metric import hd95
from monai.metrics import compute_hausdorff_distance
from surface_distance import compute_robust_hausdorff, compute_surface_distances

truth = np.zeros((16, 60), dtype=bool)
truth[2, 5:51] = True
prediction = truth.copy()
prediction[12, 5:9] = True

as_batch = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
monai = compute_hausdorff_distance(*as_batch, include_background=True, percentile=95).item()
medpy = float(hd95(prediction, truth))
deepmind = float(compute_robust_hausdorff(compute_surface_distances(truth, prediction, (1, 1)), 95))
print("MONAI", monai, " MedPy", medpy, " DeepMind", deepmind)
if (monai, medpy, deepmind) != (10.0, 0.0, 9.0):
    sys.exit("the behaviour changed")
PYTHON
