"""Repairs that preparation makes: exact or harmless, named by the check, never written to the user's files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

MOST_NON_FINITE = 0.01
"""Largest share of NaN or infinite voxels that is repaired: more is an image with a hole, not one with a flaw."""


def repaired(study: Study) -> Study:
    """Return the study with its repairable flaws mended when the voxels are read.

    NaN and infinite voxels become the lowest finite value of their image; a time axis of one frame is dropped.
    """
    return replace(
        study,
        scans={name: _repaired(scan) for name, scan in study.scans.items()},
        masks={name: _repaired(scan) for name, scan in study.masks.items()},
    )


def finite(data: NDArray[np.generic], where: str) -> tuple[NDArray[np.generic], int]:
    """Replace NaN and Inf in `data` by its lowest finite value; gives `data` and how many there were.

    Raises:
        ScanweaveError: There are more than `MOST_NON_FINITE` of them.
    """
    with np.errstate(all="ignore"):
        if data.dtype.kind != "f" or np.isfinite(data.sum()):
            return data, 0
    good = np.isfinite(data)
    bad = int(data.size - np.count_nonzero(good))
    if bad > MOST_NON_FINITE * data.size:
        raise ScanweaveError(
            where,
            f"{100 * bad / data.size:.3g} % of its voxels are NaN or infinite",
            "If they are background, write a copy with 0 in their place",
        )
    lowest = np.min(data, where=good, initial=np.inf)
    np.copyto(data, lowest, where=np.logical_not(good, out=good))
    return data, bad


def _repaired(scan: Scan) -> Scan:
    single = scan.frames == 1

    def load() -> NDArray[np.generic]:
        data = scan.load() if scan.path else scan.load().copy()  # what a user handed in stays as it is
        data, _ = finite(data, str(scan.path or "data"))
        return data.reshape(scan.geometry.shape) if single else data

    return replace(scan, load=load, frames=None if single else scan.frames)
