"""The state of the images that a run learns from, by which a resumed run tells that one was changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scanweave.studies.cohort import Cohort
from scanweave.studies.readers import split_channel


def image_states(
    cohort: Cohort, sequences: Sequence[str], sinograms: Sequence[str] = ()
) -> dict[str, dict[str, list[int]]]:
    """Size [bytes] and change time [ns] of each study's images and sinograms; opens none.

    Args:
        cohort: What is trained and validated on.
        sequences: The images that count.
        sinograms: The sinograms that count.

    Returns:
        `{study: {sequence: [size, time]}}`, sinograms as `"sinogram:<name>"`; `[]` for a file that is not there, which
        the check of the cohort tells.
    """
    columns = {f"scan:{name}": name for name in sequences} | {
        f"sinogram:{name}": f"sinogram:{name}" for name in sinograms
    }
    rows = cohort.frame[["study", *columns]].to_dict("records")
    return {
        str(row["study"]): {
            name: _state(cohort.root / row[column]) for column, name in columns.items() if isinstance(row[column], str)
        }
        for row in rows
    }


def _state(path: Path) -> list[int]:
    try:
        about = split_channel(path)[0].stat()
    except (OSError, ValueError):  # a name that no file can have
        return []
    return [about.st_size, about.st_mtime_ns]
