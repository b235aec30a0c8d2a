"""Image files in: header first, size against a budget, then the voxels."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.files import plain_size
from scanweave.studies.scan import Scan

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom")
ARRAY_SUFFIXES = (".npz",)
VOLUME_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
FILM_SUFFIXES = PICTURE_SUFFIXES + DICOM_SUFFIXES
SUFFIXES = VOLUME_SUFFIXES + FILM_SUFFIXES + ARRAY_SUFFIXES
_READERS: dict[str, str] = {
    **dict.fromkeys(NIFTI_SUFFIXES, "scanweave.studies.formats.nifti:read_nifti"),
    **dict.fromkeys(ITK_SUFFIXES, "scanweave.studies.formats.itk_images:read_itk"),
    **dict.fromkeys(PICTURE_SUFFIXES, "scanweave.studies.formats.film_images:read_picture"),
    **dict.fromkeys(DICOM_SUFFIXES, "scanweave.studies.formats.film_dicom:read_dicom_film"),
}
"""What reads a file, by its suffix."""
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


def read_scan(path: str | Path) -> Scan:
    """Open an image file; the header is read now, the voxels on first use.

    NIfTI, NRRD and MetaImage volumes; PNG, JPEG, TIFF and DICOM films, one voxel deep. `FILE#k` names channel k
    (from 0) of a 4D file whose fourth axis holds scans, not time; `FILE.npz#ARRAY/k` item k of an array of images.

    Raises:
        ScanweaveError: The file is absent, not an image, damaged, too large or without a usable position.
    """
    path, part = split_part(path)
    kind = suffix(path)
    if kind is None:
        raise ScanweaveError(path, "not an image format that is read here", f"Use one of {', '.join(SUFFIXES)}")
    plain_size(path, "Check the path, or import the cohort again")
    if kind in ARRAY_SUFFIXES:
        from scanweave.studies.formats.array_files import read_item

        return read_item(path, part)
    read: Callable[[Path], Scan] = resolve(_READERS[kind])
    scan = read(path)
    return scan if part is None else scan.channel(int(part))


def read_mask(path: str | Path) -> Scan:
    """Open a label map: as `read_scan`, but of a picture with a palette the numbers, not the colours.

    Raises:
        ScanweaveError: As `read_scan`, or a picture in colour, which has no labels.
    """
    from scanweave.studies.formats.film_images import read_picture

    file, part = split_part(path)
    if part is not None or suffix(file) not in PICTURE_SUFFIXES:
        return read_scan(path)
    plain_size(file, "Check the path, or import the cohort again")
    scan = read_picture(file, labels=True)
    if scan.channels is not None:
        raise ScanweaveError(file, "a label map in colour", "Write one number a pixel, 0 for the background")
    return scan
