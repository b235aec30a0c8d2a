"""Checks of a series: each frame is judged as a volume is, and times must rise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.studies.columns import KINDS, cells
from scanweave.studies.findings import Finding
from scanweave.studies.formats.file_states import file_state
from scanweave.studies.formats.frame_facts import frame_sidecars
from scanweave.studies.formats.image_names import frame_files
from scanweave.studies.layouts.names import sequence_of
from scanweave.studies.scan import Scan
from scanweave.wording import listed

SERIES = frozenset({"asl", "bold", "dce", "dsc", "dwi", "pet"})
"""Sequences that may be a series, in all variants; any other may be one only if it is in most studies of its cohort."""
SHOWN_TIMES = 6


def timing_words(scan: Scan) -> str:
    """Return from when to when the frames of a series are, or at which b-values: `"0 to 300 s"`; "": not known."""
    told = []
    if scan.times is not None:
        told.append(f"{scan.times[0]:g} to {scan.times[-1]:g} s")
    if scan.b_values is not None:
        told.append(f"b {scan.b_values.min():g} to {scan.b_values.max():g} s/mm²")
    return ", ".join(told)


def frame_findings(data: NDArray[np.generic]) -> list[Finding]:
    """List the frames of a series `(X, Y, Z, T)` of finite numbers that show nothing."""
    lowest, highest = data.min(axis=(0, 1, 2)), data.max(axis=(0, 1, 2))
    constant = np.flatnonzero(lowest == highest)
    if not len(constant):
        return []
    words = (
        f"constant: every voxel of frame {listed(map(str, constant), SHOWN_TIMES)} (from 0) is {lowest[constant[0]]:g}"
    )
    return [Finding("constant", "refused", words, "Leave it out of the study, or export it again")]


def time_findings(scan: Scan) -> list[Finding]:
    """Return whether the times of a series do not rise."""
    if scan.times is None or (np.diff(scan.times) > 0).all():
        return []
    shown = ", ".join(f"{time:g}" for time in scan.times[:SHOWN_TIMES]) + (
        " …" if len(scan.times) > SHOWN_TIMES else ""
    )
    return [Finding("times", "suspect", f"its times do not rise: {shown} s", "Check the order of its frames")]


def sidecar_states(row: Mapping[str, Any], root: Path) -> dict[str, list[Any]]:
    """Return the files beside the scans of a row that may be series, there or not, by their path relative to `root`.

    Returns:
        Path, and `file_state`, of each.
    """
    found: dict[str, list[Any]] = {}
    for column, cell in cells(row):
        path = root / str(cell)
        if column.kind is KINDS["scan"] and (sequence_of(column.name) in SERIES or len(frame_files(path)) > 1):
            places = {os.path.relpath(beside, root): beside for beside in frame_sidecars(path)}
            found |= {place: [place, *file_state(beside)] for place, beside in places.items()}
    return found
