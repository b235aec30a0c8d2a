"""Names of image files: their format by the suffix, and the part of a file that a name may point at."""

from __future__ import annotations

import re
from pathlib import Path

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom")
ARRAY_SUFFIXES = (".npz",)
VOLUME_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
FILM_SUFFIXES = PICTURE_SUFFIXES + DICOM_SUFFIXES
SUFFIXES = VOLUME_SUFFIXES + FILM_SUFFIXES + ARRAY_SUFFIXES
_LISTED = re.compile(r"(.+?\.(?:json|txt|csv|tsv|parquet|xlsx))#(.+)", re.IGNORECASE)
"""A file of boxes of many images, and one of these."""
_LONGEST_FIRST = sorted(SUFFIXES, key=len, reverse=True)


def suffix(path: str | Path) -> str | None:
    """Return the image suffix of a file name (`".nii.gz"` …), or None if it is not an image we read."""
    name = str(path).lower()
    return next((s for s in _LONGEST_FIRST if name.endswith(s)), None)


def is_film(path: str | Path) -> bool:
    """Tell whether a file is a film, a photograph or one of an archive of them, by its name."""
    return suffix(split_part(path)[0]) in FILM_SUFFIXES + ARRAY_SUFFIXES


def split_part(path: str | Path) -> tuple[Path, str | None]:
    """Return a path and the part of the file that it names; None where it names none.

    `"case.nii.gz#2"` → `("case.nii.gz", "2")`, channel 2; `"set.npz#train_images/7"` → item 7 of an array;
    `"coco.json#a.png"` → the boxes of an image.
    """
    listed = _LISTED.fullmatch(str(path))
    if listed:
        return Path(listed[1]), listed[2]
    match = re.fullmatch(r"(.+)#(\d{1,4}|\w+/\d{1,9})", str(path))
    if match and (kind := suffix(match[1])) and (kind in ARRAY_SUFFIXES) == ("/" in match[2]):
        return Path(match[1]), match[2]
    return Path(path), None
