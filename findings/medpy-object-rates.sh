#!/usr/bin/env bash
# MedPy 0.5.2: `obj_tpr(result, reference)` is the object-wise precision, not the true positive rate.
#
# A true positive rate is the share of the TRUE objects that were found. `obj_tpr` divides by the objects of
# `result`, so it is the share of the predicted objects that are true; `obj_fpr` divides by the objects of
# `reference`, so it is the share of the true objects that were missed. The docstring says both: "Returns" speaks of
# the objects in `result`, the notes and the worked examples of those in the reference.
#
# By hand, on a line of voxels with four true lesions, of which the first is predicted and nothing else:
#   true positive rate 1/4, precision 1/1, missed 3/4, false 0/1.
# With one true lesion, found, and three false ones: true positive rate 1/1, precision 1/4, missed 0/1, false 3/4.
#
# Seen (Python 3.11):
#   one of four found, none false:  obj_tpr 1.0   obj_fpr 0.75
#   the only one found, three false:  obj_tpr 0.25  obj_fpr 0.0
#   the docstring's example of directedness:  obj_tpr 1.0 (the docstring says 0.6666666666666666)
#
# What helps: swap the two masks, `obj_tpr(reference, result)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check medpy==0.5.2 numpy==2.4.6 scipy==1.17.1 SimpleITK==2.5.7
"$folder/bin/python" -I - <<'PYTHON'
import sys

import numpy as np
from medpy.metric import obj_fpr, obj_tpr

four, first = np.zeros(12, dtype=bool), np.zeros(12, dtype=bool)
four[[1, 4, 7, 10]] = True
first[1] = True

one_of_four = obj_tpr(result=first, reference=four), obj_fpr(result=first, reference=four)
three_false = obj_tpr(result=four, reference=first), obj_fpr(result=four, reference=first)
documented = obj_tpr(np.array([1, 0, 1, 0, 0]), np.array([1, 0, 1, 0, 1]))
print("one of four found, none false:  obj_tpr", one_of_four[0], "  obj_fpr", one_of_four[1])
print("the only one found, three false:  obj_tpr", three_false[0], " obj_fpr", three_false[1])
print("the docstring's example of directedness:  obj_tpr", documented)
if (one_of_four, three_false, documented) != ((1.0, 0.75), (0.25, 0.0), 1.0):
    sys.exit("the behaviour changed")
PYTHON
