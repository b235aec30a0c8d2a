"""A series that lies in a file a frame, as one scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.frame_facts import facts_of_files
from scanweave.studies.formats.header_limits import check_budget
from scanweave.studies.scan import Scan


def joined_frames(scans: Sequence[Scan]) -> Scan:
    """Return volumes on one grid as the frames of one series, in the order given; they are read on first use.

    Raises:
        ScanweaveError: One of them is no single volume, they lie on different grids, or are too large together.
    """
    first = scans[0]
    for scan in scans:
        if scan.channels or scan.frames:
            step = "Name single volumes, or the series alone"
            raise ScanweaveError(_where(scan), f"is a {scan.what}, not one frame of a series", step)
        if not scan.geometry.matches(first.geometry):
            words = f"is not on the grid of the first frame ({_apart(scan, first)})"
            raise ScanweaveError(_where(scan), words, "Resample the frames to one grid, or leave the series out")
    check_budget(_where(first), first.geometry.voxels * len(scans))

    def load() -> NDArray[np.generic]:
        whole = np.empty((*first.geometry.shape, len(scans)), dtype=np.float32, order="F")
        for number, scan in enumerate(scans):
            whole[..., number] = scan.load()
        return whole

    told = facts_of_files([scan.path for scan in scans if scan.path is not None])
    notes = tuple(dict.fromkeys([*(note for scan in scans for note in scan.notes), *told.notes]))
    return Scan(first.geometry, load, len(scans), told.times, first.path, notes=notes, b_values=told.b_values)


def _where(scan: Scan) -> str:
    return str(scan.path or "data")


def _apart(scan: Scan, first: Scan) -> str:
    if scan.size != first.size:
        return f"{scan.size}, not {first.size}"
    return f"{scan.geometry.distance(first.geometry):.3g} mm off"
