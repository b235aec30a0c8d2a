"""Image files in: header first, size against a budget, then the voxels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.files import plain_size
from scanweave.studies.formats.frame_facts import with_frame_facts
from scanweave.studies.formats.image_names import (
    ARRAY_SUFFIXES,
    DICOM_SUFFIXES,
    METAIMAGE_SUFFIXES,
    MGH_SUFFIXES,
    NIFTI_SUFFIXES,
    NRRD_SUFFIXES,
    PICTURE_SUFFIXES,
    SUFFIXES,
    VOLUME_SUFFIXES,
    frame_files,
    split_part,
    suffix,
    unread_format,
)
from scanweave.studies.formats.joined_frames import joined_frames
from scanweave.studies.formats.pointer_files import refuse_pointer
from scanweave.studies.scan import Scan

_READERS: dict[str, str] = {
    **dict.fromkeys(NIFTI_SUFFIXES, "scanweave.studies.formats.nifti:read_nifti"),
    **dict.fromkeys(MGH_SUFFIXES, "scanweave.studies.formats.mgh:read_mgh"),
    **dict.fromkeys(NRRD_SUFFIXES, "scanweave.studies.formats.nrrd:read_nrrd"),
    **dict.fromkeys(METAIMAGE_SUFFIXES, "scanweave.studies.formats.metaimage:read_metaimage"),
    **dict.fromkeys(PICTURE_SUFFIXES, "scanweave.studies.formats.film_images:read_picture"),
    **dict.fromkeys(DICOM_SUFFIXES, "scanweave.studies.formats.film_dicom:read_dicom_film"),
}
"""Reader of a file, by its suffix."""


def read_scan(path: str | Path) -> Scan:
    """Open an image file; the header is read now, the voxels on first use.

    NIfTI, MGH, NRRD and MetaImage volumes; PNG, JPEG, TIFF and DICOM films, one voxel deep. `FILE#k` names channel k
    (from 0) of a 4D file whose fourth axis holds scans, not time; `FILE.npz#ARRAY/k` item k of an array of images;
    `FILE;FILE;…` a series in a file a frame. What files beside a series tell of its times and b-values is read too.

    Raises:
        ScanweaveError: The file is absent, not an image, damaged, too large or without a usable position; frames lie on
            different grids.
    """
    frames = frame_files(path)
    if len(frames) > 1:
        return joined_frames([read_scan(frame) for frame in frames])
    path, part = split_part(path)
    kind = suffix(path)
    unread = unread_format(path)
    if unread:
        raise ScanweaveError(path, f"{unread}, is not read", "Convert it to NIfTI, and check left and right")
    if kind is None:
        raise ScanweaveError(path, "not an image format that is read here", f"Use one of {', '.join(SUFFIXES)}")
    refuse_pointer(path)
    plain_size(path, "Check the path, or import the cohort again")
    if kind in ARRAY_SUFFIXES:
        from scanweave.studies.formats.array_files import read_item

        return read_item(path, part)
    read: Callable[[Path], Scan] = resolve(_READERS[kind])
    scan = read(path)
    return with_frame_facts(scan) if part is None else scan.channel(int(part))


def count_frames(path: str | Path) -> int | None:
    """Return how many frames a series has, as its header tells; None for a volume, or what cannot be read."""
    listed = frame_files(path)
    if len(listed) > 1:
        return len(listed)
    file, part = split_part(path)
    if part is not None or suffix(file) not in VOLUME_SUFFIXES:
        return None
    try:
        return read_scan(file).frames
    except ScanweaveError:  # the check says what is wrong with it
        return None


def read_mask(path: str | Path) -> Scan:
    """Open a label map: as `read_scan`, but of a picture with a palette the numbers, not the colours.

    Raises:
        ScanweaveError: As `read_scan`, or a picture in colour, which has no labels.
    """
    from scanweave.studies.formats.film_images import read_picture

    file, part = split_part(path)
    refuse_pointer(file)
    if part is not None or suffix(file) not in PICTURE_SUFFIXES:
        return read_scan(path)
    plain_size(file, "Check the path, or import the cohort again")
    scan = read_picture(file, labels=True)
    if scan.channels is not None:
        raise ScanweaveError(file, "a label map in colour", "Write one number a pixel, 0 for the background")
    return scan
