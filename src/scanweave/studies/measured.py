"""Studies of which a slice was measured and its true bins are known: what reconstruction learns from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.words import studies

Say = Callable[[str], None]


def true_bins(cohort: Cohort, bins: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the scans that hold the true bins: those given, or bin1, bin2 … in their order.

    Raises:
        ScanweaveError: The cohort has none of them, or not one that is named.
    """
    known = cohort.sequences
    absent = [name for name in bins if name not in known]
    if absent:
        raise ScanweaveError(cohort.folder, f"has no clean image '{absent[0]}'", f"Choose from {', '.join(known)}")
    found = tuple(bins) or tuple(sorted((name for name in known if re.fullmatch(r"bin\d+", name)), key=_number))
    if not found:
        raise ScanweaveError(cohort.folder, "has no true images of its bins (bin1, bin2 …)", "Add them as scans")
    return found


def with_truth(cohort: Cohort, sinogram: str, bins: Sequence[str], say: Say) -> Cohort:
    """The studies that have the sinogram and the true image of every bin.

    Raises:
        ScanweaveError: There is none.
    """
    if sinogram not in cohort.sinograms:
        known = ", ".join(cohort.sinograms) or "none"
        step = f"It has {known}; make a cohort of measurements with: scanweave simulate ct"
        raise ScanweaveError(cohort.folder, f"has no sinogram '{sinogram}'", step)
    full = cohort.where(cohort.frame[f"sinogram:{sinogram}"].notna()).having(*bins)
    if len(full) == 0:
        step = "Add the images: they are learnt from"
        raise ScanweaveError(cohort.folder, f"no study has its sinogram and {', '.join(bins)}", step)
    if len(full) < len(cohort):
        say(f"studies: {len(full)} of {studies(len(cohort))} have the sinogram and a true image of every bin")
    return full


def _number(name: str) -> int:
    return int(name.removeprefix("bin"))
