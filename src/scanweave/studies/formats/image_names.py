"""Names of image files: their format by the suffix, and the part of a file that a name may point at."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".hdr.gz")
MGH_SUFFIXES = (".mgh", ".mgz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom")
ARRAY_SUFFIXES = (".npz",)
VOLUME_SUFFIXES = NIFTI_SUFFIXES + MGH_SUFFIXES + NRRD_SUFFIXES + METAIMAGE_SUFFIXES
FILM_SUFFIXES = PICTURE_SUFFIXES + DICOM_SUFFIXES
SUFFIXES = VOLUME_SUFFIXES + FILM_SUFFIXES + ARRAY_SUFFIXES
PACKINGS = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".lzma")
UNREAD_VOLUMES: dict[str, str] = {
    ".mnc": "MINC, which readers place mirrored to each other",
    ".mif": "MRtrix's MIF",
    ".brik": "AFNI's BRIK",
    ".rec": "Philips PAR/REC",
    ".ima": "a single slice of DICOM",
    ".gipl": "GIPL",
    ".vtk": "VTK",
    ".vti": "VTK",
    ".ecat": "ECAT",
    ".v": "ECAT",
    ".vol": "a volume without a header",
}
"""Volumes that are not read, by suffix, in words."""
UNREAD = UNREAD_VOLUMES | {
    ".npy": "an array without a position",
    ".jp2": "JPEG 2000",
    ".bmp": "a bitmap",
    ".gif": "GIF",
    ".webp": "WebP",
    ".svs": "a slide of a microscope",
    ".ndpi": "a slide of a microscope",
}
"""All images that are not read; of the others a table may name some beside its variables, such as slides."""
_LISTED = re.compile(r"(.+?\.(?:json|txt|csv|tsv|parquet|xlsx))#(.+)", re.IGNORECASE)
"""A file of boxes of many images, and one of these."""
BETWEEN_FRAMES = ";"
"""What parts the files of a series in a cell that lists them."""
_LONGEST_FIRST = sorted(SUFFIXES, key=len, reverse=True)


def suffix(path: str | Path) -> str | None:
    """Return the image suffix of a file name (`".nii.gz"` …), or None if it is not an image we read."""
    name = str(path).lower()
    return next((s for s in _LONGEST_FIRST if name.endswith(s)), None)


def stem(name: str) -> str:
    """Return a file name without its image suffix."""
    return name[: len(name) - len(suffix(name) or "")]


def unread_format(path: str | Path, formats: Mapping[str, str] = UNREAD) -> str | None:
    """Return, in words, the format of an image that is not read; None where it is read, or no image by its name."""
    name = str(path).lower()
    if suffix(name):
        return None
    packing = next((end for end in PACKINGS if name.endswith(end)), "")
    bare = name.removesuffix(packing)
    words = next((words for kind, words in formats.items() if bare.endswith(kind)), None)
    return words or (f"an image packed as {packing}" if packing and suffix(bare) else None)


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


def frame_files(path: str | Path) -> tuple[str, ...]:
    """Return the files that a path lists, one a frame of a series; itself where it names a single one.

    Those after the first stand by their paths from its folder, so that a folder can be put before all of them at once:
    `"case/dce_0.nii.gz;dce_1.nii.gz"` → `("case/dce_0.nii.gz", "case/dce_1.nii.gz")`.
    """
    first, *others = listed_files(str(path))
    folder = Path(first).parent
    return (first, *((folder / other).as_posix() for other in others))


def listed_files(text: str) -> list[str]:
    """Return the image files that a text lists with `;` between them; the text alone where it lists none."""
    found: list[str] = []
    begun: list[str] = []
    for piece in text.split(BETWEEN_FRAMES):
        begun.append(piece)
        whole = BETWEEN_FRAMES.join(begun)  # a folder may be called so too
        if suffix(split_part(whole)[0]):
            found.append(whole)
            begun = []
    return found if len(found) > 1 and not begun else [text]


def frame_cell(paths: Sequence[str]) -> str:
    """Return the one path that lists the files of a series; the inverse of `frame_files`.

    Args:
        paths: All of them relative to one folder, or all absolute.
    """
    first, *others = paths
    folder = posixpath.dirname(first) or "."
    return BETWEEN_FRAMES.join([first, *(posixpath.relpath(other, folder) for other in others)])
