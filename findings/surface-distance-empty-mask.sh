#!/usr/bin/env bash
# surface-distance 0.1 (DeepMind) with NumPy 2 measures an empty mask only after `import torchmetrics` (1.9.0).
#
# An empty prediction is valid: surface-distance documents infinite distances for it. It writes them as `np.Inf`,
# which NumPy 2 took away, so in a process of its own it raises AttributeError. `import torchmetrics` puts the name
# back into NumPy for the whole process, and the same call then returns infinity. So a script that also trains passes,
# and one that only measures the same masks fails.
#
# By hand: the truth is one voxel, the prediction empty; every distance from the truth is infinite, and so is HD95.
#
# Seen (Python 3.11, NumPy 2.4.6, torch 2.15.0):
#   alone:  AttributeError: `np.Inf` was removed in the NumPy 2.0 release. Use `np.inf` instead.
#   after import torchmetrics:  HD95 inf
#
# What helps: handle empty masks before the call; do not rely on the other import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    surface-distance==0.1 torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6 scipy==1.17.1
"$folder/bin/python" -I - <<'PYTHON'
import sys

import numpy as np
from surface_distance import compute_robust_hausdorff, compute_surface_distances

prediction = np.zeros((3, 3, 3), dtype=bool)
truth = prediction.copy()
truth[1, 1, 1] = True


def hd95_of_missed():
    return float(compute_robust_hausdorff(compute_surface_distances(truth, prediction, (1, 1, 1)), 95))


try:
    alone = str(hd95_of_missed())
except AttributeError as error:
    alone = f"AttributeError: {error}"
print("alone: ", alone)

import torchmetrics  # noqa: E402, F401 - the import is what is shown

after = hd95_of_missed()
print("after import torchmetrics:  HD95", after)
if not (alone.startswith("AttributeError: `np.Inf` was removed") and after == float("inf")):
    sys.exit("the behaviour changed")
PYTHON
