"""Image files in: header first, size against a budget, then the voxels."""

from __future__ import annotations

import re
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.itk_images import read_itk
from scanweave.studies.formats.nifti import read_nifti
from scanweave.studies.scan import Scan

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
_LONGEST_FIRST = sorted(SUFFIXES, key=len, reverse=True)


def suffix(path: str | Path) -> str | None:
    """Return the image suffix of a file name (`".nii.gz"` …), or None if it is not an image we read."""
    name = str(path).lower()
    return next((s for s in _LONGEST_FIRST if name.endswith(s)), None)


def split_channel(path: str | Path) -> tuple[Path, int | None]:
    """Return a path and the channel it names: `"case.nii.gz#2"` → `("case.nii.gz", 2)`; None where it names none."""
    match = re.fullmatch(r"(.+)#(\d{1,4})", str(path))
    if match and suffix(match[1]):
        return Path(match[1]), int(match[2])
    return Path(path), None


def read_scan(path: str | Path) -> Scan:
    """Open a NIfTI, NRRD or MetaImage file; the header is read now, the voxels on first use.

    `FILE#k` names channel k (from 0) of a 4D file whose fourth axis holds sequences, not time.

    Raises:
        ScanweaveError: The file is absent, not an image, damaged, too large or without a usable position.
    """
    path, channel = split_channel(path)
    kind = suffix(path)
    if kind is None:
        raise ScanweaveError(path, "not an image format that is read here", f"Use one of {', '.join(SUFFIXES)}")
    if "\0" in str(path) or not path.is_file():
        raise ScanweaveError(path, "no such file", "Check the path, or import the cohort again")
    scan = read_nifti(path) if kind in NIFTI_SUFFIXES else read_itk(path)
    return scan if channel is None else scan.channel(channel)
