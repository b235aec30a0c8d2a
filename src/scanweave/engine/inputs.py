"""The state of the images that a run learns from, by which a resumed run tells that one was changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scanweave.studies.cohort import Cohort
from scanweave.studies.readers import split_channel


def image_states(cohort: Cohort, sequences: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Size [bytes] and change time [ns] of each study's images; opens none.

    Args:
        cohort: What is trained and validated on.
        sequences: The images that count.

    Returns:
        `{study: {sequence: [size, time]}}`; `[]` for a file that is not there, which the check of the cohort tells.
    """
    rows = cohort.frame[["study", *(f"scan:{name}" for name in sequences)]].to_dict("records")
    return {
        str(row["study"]): {
            name: _state(cohort.root / row[f"scan:{name}"])
            for name in sequences
            if isinstance(row[f"scan:{name}"], str)
        }
        for row in rows
    }


def _state(path: Path) -> list[int]:
    try:
        about = split_channel(path)[0].stat()
    except (OSError, ValueError):  # a name that no file can have
        return []
    return [about.st_size, about.st_mtime_ns]
