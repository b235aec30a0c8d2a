"""What a report says of a cohort of sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from scanweave.studies.cohort import Cohort

COHORT = "cohort.json"


def describe_cohort(cohort: Cohort, sequences: Sequence[str], fold: int) -> dict[str, Any]:
    """What a report says about a cohort without opening it: studies by combination of sequences, and its parts."""
    present = cohort.frame.reindex(columns=[f"scan:{name}" for name in sequences]).notna().to_numpy()
    counts = Counter(tuple(name for name, there in zip(sequences, row, strict=True) if there) for row in present)
    parts = {part: cohort.part(part, fold) for part in ("train", "validation", "test")}
    return {
        "format": 1,
        "name": str(cohort.about.get("name", "")),
        "studies": len(cohort),
        "patients": len(cohort.patients),
        "fold": fold,
        "parts": {name: {"studies": len(part), "patients": len(part.patients)} for name, part in parts.items()},
        "combinations": [{"sequences": list(names), "studies": count} for names, count in counts.most_common()],
    }
