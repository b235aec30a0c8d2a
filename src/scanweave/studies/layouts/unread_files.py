"""Files of a source that are not taken in: formats that are not read, DICOM series, everything else by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scanweave.studies.formats.image_names import (
    DICOM_SUFFIXES,
    PACKINGS,
    VOLUME_SUFFIXES,
    suffix,
    unread_format,
)
from scanweave.studies.formats.image_pairs import companions
from scanweave.studies.layouts.listing import files_in, is_text
from scanweave.wording import count

PREAMBLE, MAGIC = 128, b"DICM"
MOST_OPENED = 400
"""Files without a known type that are looked into for DICOM: their first bytes tell."""
_APART = "Import it apart: scanweave cohort import SRC --layout dicom --out COHORT"
_SHOWN = 8


@dataclass
class Unread:
    """Files of a source that no study holds.

    Attributes:
        foreign: Images that are not read, by their path.
        dicom: DICOM files beside volumes, or without a known suffix.
        beside: Images that are read but lie where the layout does not look: folder → number.
        others: All else: suffix → number.
    """

    foreign: list[str] = field(default_factory=list)
    dicom: list[str] = field(default_factory=list)
    beside: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Yield in words what is not read; its images one by one up to a few."""
        if self.foreign:
            what = f"an image in a format that is not read: {_some(self.foreign)}"
            yield f"{what}. Convert them to NIfTI; until then these scans count as absent"
        if self.dicom:
            yield f"{count(len(self.dicom), 'DICOM file')} not read ({_some(self.dicom[:1])} …). {_APART}"
        if self.beside:
            folders = [f"{folder} ({number})" for folder, number in self.beside.most_common()]
            yield f"images in places that this layout does not read: {_some(folders)}"
        if self.others:
            kinds = [f"{kind or 'no suffix'} {number}" for kind, number in self.others.most_common()]
            yield f"passed over, no images by their names: {_some(kinds)}"


def find_unread(src: Path, known: Collection[str]) -> Unread:
    """Return the files of a folder that are not in `known`, a set of paths relative to it.

    Only files without a known suffix are opened, and only some, to see whether they are DICOM.
    """
    found, opened = Unread(), 0
    known = {*known, *_voxel_files(src, known)}
    for parts in files_in(src):
        path = "/".join(parts)
        kind = suffix(parts[-1])
        if path in known or not is_text(path):
            continue
        bare = "." not in parts[-1].strip(".") or parts[-1].rpartition(".")[2].isdecimal()
        if kind in VOLUME_SUFFIXES:
            found.beside[f"{parts[0]}/" if len(parts) > 1 else parts[0]] += 1
        elif kind in DICOM_SUFFIXES:
            found.dicom.append(path)
        elif unread_format(parts[-1]):
            found.foreign.append(path)
        elif bare and opened < MOST_OPENED and has_preamble(src / path):
            found.dicom.append(path)
        else:
            found.others[ending(parts[-1])] += 1
        opened += bare
    return found


def _voxel_files(src: Path, known: Collection[str]) -> Iterator[str]:
    """Yield the files that hold the voxels of those headers in text that are in `known`."""
    for path in known:
        if path.lower().endswith((".mhd", ".nhdr")):
            yield from (file.relative_to(src).as_posix() for file in companions(src / path))


def holds_series(src: Path) -> bool:
    """Tell whether a folder holds no volume, and what it holds in DICOM are slices or volumes, not films."""
    from scanweave.studies.formats.film_dicom import NO_FILMS

    there = list(files_in(src))
    if any(suffix(parts[-1]) in VOLUME_SUFFIXES for parts in there):
        return False
    unknown = [parts for parts in there if suffix(parts[-1]) in (None, *DICOM_SUFFIXES)]
    for parts in unknown[:MOST_OPENED]:
        path = src.joinpath(*parts)
        modality = _modality(path) if has_preamble(path) else None
        if modality in NO_FILMS or (modality == "" and suffix(parts[-1]) is None):
            return True
    return False


def _modality(path: Path) -> str:
    """Return the modality of a DICOM file; "" where it cannot be told, also for want of pydicom."""
    try:
        import pydicom
    except ImportError:
        return ""
    try:
        return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"]).get("Modality", ""))
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, AttributeError, EOFError, KeyError):
        return ""


def has_preamble(path: Path) -> bool:
    """Tell whether a file begins as DICOM does."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except OSError:
        return False


def ending(name: str) -> str:
    """Return the suffix of a file name in lower case, with that before a packing one: `.tar.gz`."""
    parts = name.lower().split(".")
    if len(parts) < 2:
        return ""
    return "." + ".".join(parts[-2:] if f".{parts[-1]}" in PACKINGS and len(parts) > 2 else parts[-1:])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
