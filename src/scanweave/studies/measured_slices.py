"""Studies of which a slice was measured and its true bins are known: what reconstruction learns from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.scan import Scan
from scanweave.studies.sinogram import Sinogram
from scanweave.wording import nearest, studies

Say = Callable[[str], None]
NAMED_STUDIES = 3
"""Studies at fault that are named."""
MOST_BRIGHTNESS_RATIO = 3.0
"""Ratio of a true image's brightness to that of its sinogram from which its unit counts as another."""
MOST_PIXEL_RATIO = 1.5
"""Largest ratio of a scan's pixels to those that a network learnt from."""
SAME_PIXEL_TOLERANCE = 0.01
"""Relative difference of pixels that rounding explains."""


def true_bins(cohort: Cohort, bins: Sequence[str] = ()) -> tuple[str, ...]:
    """Return names of the scans that hold the true bins: those given, or bin1, bin2 … in their order.

    Raises:
        ScanweaveError: The cohort has none of them, or not one that is named.
    """
    known = cohort.names("scan")
    absent = [name for name in bins if name not in known]
    if absent:
        raise ScanweaveError(cohort.folder, f"has no clean image '{absent[0]}'", nearest(absent[0], known))
    found = tuple(bins) or tuple(sorted((name for name in known if re.fullmatch(r"bin\d+", name)), key=_number))
    if not found:
        raise ScanweaveError(cohort.folder, "has no true images of its bins (bin1, bin2 …)", "Add them as scans")
    return found


def with_truth(cohort: Cohort, sinogram: str, bins: Sequence[str], say: Say) -> Cohort:
    """Return the studies that have the sinogram and the true image of every bin.

    Raises:
        ScanweaveError: There is none.
    """
    if sinogram not in cohort.names("sinogram"):
        known = ", ".join(cohort.names("sinogram")) or "none"
        step = f"It has {known}; make a cohort of measurements with: scanweave simulate ct"
        raise ScanweaveError(cohort.folder, f"has no sinogram '{sinogram}'", step)
    full = cohort.where(cohort.frame[f"sinogram:{sinogram}"].notna()).having(*bins)
    if len(full) == 0:
        step = "Add the images: they are learnt from"
        raise ScanweaveError(cohort.folder, f"no study has its sinogram and {', '.join(bins)}", step)
    if len(full) < len(cohort):
        say(f"studies: {len(full)} of {studies(len(cohort))} have the sinogram and a true image of every bin")
    return full


def thresholds_of(sinogram: Sinogram) -> tuple[float, ...]:
    """Return the thresholds of a sinogram [keV]; none where there is a single energy window."""
    return () if sinogram.thresholds is None else tuple(float(value) for value in sinogram.thresholds)


def same_thresholds(told: Sequence[float], wanted: Sequence[float], where: str) -> None:
    """Refuse a scan of other bins.

    Raises:
        ScanweaveError: The thresholds differ.
    """
    if tuple(told) != tuple(wanted):
        reason = f"its thresholds are {_shown(told)} keV, the run's {_shown(wanted)}"
        raise ScanweaveError(where, reason, "Use scans of one protocol, or fit a run for this one")


def same_pixel(told: float, wanted: float, where: str) -> None:
    """Refuse a scan whose pixels are far from those that a network learnt from: another unit, or another zoom.

    Raises:
        ScanweaveError: They differ by a factor of `MOST_PIXEL_RATIO` or more.
    """
    if not 1 / MOST_PIXEL_RATIO < told / wanted < MOST_PIXEL_RATIO:
        reason = f"its pixels have {told:.4g} mm, the run's {wanted:.4g} mm"
        raise ScanweaveError(where, reason, "Give lengths in mm, or choose a grid like the run's")


def refuse_faults(cohort: Cohort, faults: Mapping[str, ScanweaveError]) -> None:
    """Refuse to learn from studies that cannot be read, all of them in one line.

    Args:
        cohort: Where they come from.
        faults: The error of each.

    Raises:
        ScanweaveError: There is one.
    """
    named = {study: _of(study, error) for study, error in faults.items()}
    if len(named) == 1:
        raise next(iter(named.values()))
    if named:
        shown = "; ".join(f"{error.where}: {error.reason}" for error in list(named.values())[:NAMED_STUDIES])
        more = " …" if len(faults) > NAMED_STUDIES else ""
        reason = f"{len(faults)} studies cannot be learnt from ({shown}{more})"
        raise ScanweaveError(cohort.folder, reason, "Correct them, or leave them out of the cohort")


def _of(study: str, error: ScanweaveError) -> ScanweaveError:
    """Return the error with the name of its study."""
    named = f"{error.where}:".startswith(f"{study}:") or f"/{study}/" in error.where
    return error if named else ScanweaveError(f"{study}: {error.where}", error.reason, error.next_step)


def check_truth(where: str, scans: Iterable[Scan], truth: NDArray[Any], made: NDArray[Any], pixel: float) -> None:
    """Refuse true images that are not what the sinogram measured, seen by their pixel or their unit.

    Args:
        where: What the error names.
        scans: The true images as they were read.
        truth: The same as `(S, H, W)`.
        made: What the sinogram reconstructs to [1/mm], `(S, H, W)`.
        pixel: Side of a pixel of the scan's geometry [mm].

    Raises:
        ScanweaveError: They have another pixel, or are `MOST_BRIGHTNESS_RATIO` times as bright or more, or as dark.
    """
    for scan in scans:
        sides = scan.geometry.oriented("LPS").spacing[:2]
        if max(abs(side / pixel - 1) for side in sides) > SAME_PIXEL_TOLERANCE:
            reason = f"its true images have pixels of {sides[0]:.4g} × {sides[1]:.4g} mm, its scan of {pixel:.4g} mm"
            raise ScanweaveError(where, reason, "Put both on one grid, with all lengths of the geometry in mm")
    told, real = np.asarray(made, np.float64), np.asarray(truth, np.float64)
    size = float((real * real).sum())
    share = float((told * real).sum()) / size if size else 0.0
    if not 1 / MOST_BRIGHTNESS_RATIO < share < MOST_BRIGHTNESS_RATIO:
        reason = f"its sinogram reconstructs to {share:.3g} times its true images: they are no attenuation in 1/mm"
        step = "Give them in 1/mm, and the lengths of the geometry in mm, its angles in degrees"
        raise ScanweaveError(where, reason, step)


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"


def _number(name: str) -> int:
    return int(name.removeprefix("bin"))
