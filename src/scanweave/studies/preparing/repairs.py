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


def finite(data: NDArray[np.generic], where: str, *, series: bool = False) -> tuple[NDArray[np.generic], int]:
    """Replace NaN and Inf in `data` by its lowest finite value; gives `data` and how many there were.

    Args:
        data: The voxels.
        where: The file, for errors.
        series: Whether the last axis holds frames, of which each must be sound.

    Raises:
        ScanweaveError: There are more than `MOST_NON_FINITE` of them, in all or in a frame.
    """
    with np.errstate(all="ignore"):
        if data.dtype.kind != "f" or np.isfinite(data.sum()):
            return data, 0
    good = np.isfinite(data)
    bad = int(data.size - np.count_nonzero(good))
    if bad > MOST_NON_FINITE * data.size and not series:
        raise ScanweaveError(
            where,
            f"{100 * bad / data.size:.3g} % of its voxels are NaN or infinite",
            "If they are background, write a copy with 0 in their place",
        )
    if series:
        _refuse_frame(good, where)
    lowest = np.min(data, where=good, initial=np.inf)
    np.copyto(data, lowest, where=np.logical_not(good, out=good))
    return data, bad


def _refuse_frame(good: NDArray[np.bool_], where: str) -> None:
    shares = 1 - np.count_nonzero(good, axis=(0, 1, 2)) / good[..., 0].size
    worst = int(np.argmax(shares))
    if shares[worst] > MOST_NON_FINITE:
        words = f"{100 * shares[worst]:.3g} % of the voxels of frame {worst} (from 0) are NaN or infinite"
        raise ScanweaveError(where, words, "Leave that frame out, or write a copy with 0 in place of the background")


def _repaired(scan: Scan) -> Scan:
    single = scan.frames == 1

    def load() -> NDArray[np.generic]:
        data = scan.load() if scan.path else scan.load().copy()  # what a user handed in stays as it is
        data, _ = finite(data, str(scan.path or "data"), series=scan.frames is not None)
        return data.reshape(scan.geometry.shape) if single else data

    if single:
        return replace(scan, load=load, frames=None, times=None, b_values=None)
    return replace(scan, load=load)
