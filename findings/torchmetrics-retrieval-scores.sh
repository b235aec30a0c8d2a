#!/usr/bin/env bash
# torchmetrics 1.9.0: in some retrieval measures an answer that scores 0 or less was never found, in others it was.
#
# Retrieval ranks answers by a score, and any score will do: a cosine lies between -1 and 1, a logit anywhere.
# `RetrievalMRR`, `RetrievalMAP`, `RetrievalPrecision` and `RetrievalRecall` count a right answer only where its score
# is above 0; `RetrievalHitRate`, `RetrievalNormalizedDCG` and `RetrievalRPrecision` go by the rank alone. So one ranking
# has a hit among its first two and a recall of 0 there. The documentation asks for "estimated probabilities" and says
# nothing of 0; there is no warning.
#
# By hand: three answers, ranked wrong, right, right. The first right one is second: MRR 1/2. Precision of the first two
# 1/2, recall 1/2, a hit 1. Average precision of all three: (1/2 + 2/3) / 2 = 0.583. A constant taken off all scores
# changes no rank, so none of these.
#
# Seen (Python 3.11, torch 2.15.0), for the scores 0.9, 0.8, 0.1 and for the same less 1:
#   MRR: 0.500 and 0.000
#   MAP: 0.583 and 0.000
#   precision of 2: 0.500 and 0.000
#   recall of 2: 0.500 and 0.000
#   hit rate of 2: 1.000 and 1.000
#   nDCG: 0.693 and 0.693
#   R-precision: 0.500 and 0.500
#
# What helps: a rising function into (0, 1) first, such as the ranks or (cosine + 1) / 2 with its end lifted off 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import torch
from torchmetrics import retrieval

scores = torch.tensor([0.9, 0.8, 0.1])
right = torch.tensor([False, True, True])
one_query = torch.zeros(3, dtype=torch.long)
by_sign = {
    "MRR": retrieval.RetrievalMRR(),
    "MAP": retrieval.RetrievalMAP(),
    "precision of 2": retrieval.RetrievalPrecision(top_k=2),
    "recall of 2": retrieval.RetrievalRecall(top_k=2),
}
by_rank = {
    "hit rate of 2": retrieval.RetrievalHitRate(top_k=2),
    "nDCG": retrieval.RetrievalNormalizedDCG(),
    "R-precision": retrieval.RetrievalRPrecision(),
}


def measured(measures):
    seen = []
    for name, measure in measures.items():
        above, below = (round(measure(given, right, one_query).item(), 3) for given in (scores, scores - 1))
        print(f"{name}: {above:.3f} and {below:.3f}")
        seen.append((above, below))
    return seen


expected = [(0.5, 0), (0.583, 0), (0.5, 0), (0.5, 0)], [(1, 1), (0.693, 0.693), (0.5, 0.5)]
if (measured(by_sign), measured(by_rank)) != expected:
    sys.exit("the behaviour changed")
PYTHON
