#!/usr/bin/env bash
# MONAI 1.6.1: `compute_froc_curve_data` leaves out the lowest threshold, so a detector that finds every lesion
# never reaches a sensitivity of 1.
#
# It takes the thresholds from the second lowest score upwards. Where a lesion was missed, the lowest "score" is the
# 0 that `compute_fp_tp_probs_nd` writes for it, and nothing is lost. Where all were found, the lowest score is that of
# a real detection, and the point of the curve at which it counts is lost.
#
# By hand, one image with two lesions, found at 0.9 and 0.3, and one false mark at 0.5:
#   threshold 0.9: sensitivity 0.5, false 0;  0.5: 0.5, 1;  0.3: 1.0, 1.
# Without the false mark the detector is perfect: sensitivity 1 at no false mark, so the FROC score is 1.
#
# Seen (Python 3.11, torch 2.15.0):
#   0.9 and 0.3, false 0.5:  false per image [1.0, 0.0, 0.0]  sensitivity [0.5, 0.5, 0.0]  FROC score 0.5
#   0.9 and 0.8, none false:  false per image [0.0, 0.0]  sensitivity [0.5, 0.0]  FROC score 0.5
#   1.0 and 1.0, none false:  false per image [0.0]  sensitivity [0.0]  FROC score 0.0
#
# What helps: append a score of 0 for one more "lesion" to `tp_probs` and leave `num_targets` as it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile monai==1.6.1 torch==2.15.0 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import numpy as np
from monai.metrics import compute_froc_curve_data, compute_froc_score
from monai.metrics.froc import compute_fp_tp_probs_nd

lesions = np.zeros((8, 8), dtype=int)
lesions[1:3, 1:3] = 1
lesions[5:7, 5:7] = 2
IN_FIRST, IN_SECOND, BESIDE = (1, 1), (5, 5), (0, 7)


def curve(marks, scores, remedy=()):
    false, found, lesion_count = compute_fp_tp_probs_nd(np.array(scores), np.array(marks), lesions)
    data = compute_froc_curve_data(false, np.append(found, remedy), lesion_count, num_images=1)
    return [points.tolist() for points in data], float(compute_froc_score(*data))


with_false = curve([IN_FIRST, IN_SECOND, BESIDE], [0.9, 0.3, 0.5])
perfect = curve([IN_FIRST, IN_SECOND], [0.9, 0.8])
equal = curve([IN_FIRST, IN_SECOND], [1.0, 1.0])
seen = {"0.9 and 0.3, false 0.5": with_false, "0.9 and 0.8, none false": perfect, "1.0 and 1.0, none false": equal}
for name, ((false_per_image, sensitivity), score) in seen.items():
    print(f"{name}:  false per image {false_per_image}  sensitivity {sensitivity}  FROC score {score}")
expected = ([[1, 0, 0], [0.5, 0.5, 0]], 0.5), ([[0, 0], [0.5, 0]], 0.5), ([[0], [0]], 0.0)
remedied = curve([IN_FIRST, IN_SECOND], [1.0, 1.0], remedy=[0.0])[1]
if (with_false, perfect, equal, remedied) != (*expected, 1.0):
    sys.exit("the behaviour changed")
PYTHON
