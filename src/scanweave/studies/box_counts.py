"""Count the boxes of a cohort by class."""

from __future__ import annotations

from collections import Counter

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS


def count_boxes(cohort: Cohort) -> str:
    """Return how many boxes of each class a cohort holds, in words; studies whose boxes cannot be used are counted."""
    counts, bare, unusable = Counter[str](), 0, 0
    cells = cohort.frame["boxes"].dropna()
    for cell in cells:
        try:
            labels = KINDS["boxes"].read(cohort.root / str(cell)).labels
        except ScanweaveError:
            unusable += 1
            continue
        counts.update(labels)
        bare += not labels
    shown = " · ".join(f"{name} {number:,}" for name, number in counts.most_common())
    parts = [shown or "none", f"in {len(cells):,} annotated studies"]
    parts += [f"{bare:,} without any"] if bare else []
    parts += [f"{unusable:,} that cannot be used: see cohort check"] if unusable else []
    return ", ".join(parts)
