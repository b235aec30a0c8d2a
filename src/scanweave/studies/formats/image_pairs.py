"""Images in two files, a header and its voxels: which belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from scanweave.errors import ScanweaveError

_HALF = re.compile(r"(.+)\.(img|hdr)(\.gz)?", re.IGNORECASE)
_BODIES = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}
"""Suffixes of ITK's files of voxels, by the suffix of their header."""


def find_pair(path: Path) -> tuple[Path, Path]:
    """Return the files that hold header and voxels: twice the same, unless it is one of `.hdr` and `.img`.

    Raises:
        ScanweaveError: The other one is absent.
    """
    half = _HALF.fullmatch(path.name)
    if half is None:
        return path, path
    wanted = "hdr" if half[2].lower() == "img" else "img"
    other = next((twin for twin in _twins(path, half, wanted) if twin.is_file()), None)
    if other is None:
        what = "header" if wanted == "hdr" else "voxels"
        raise ScanweaveError(path, f"its {what}, {half[1]}.{wanted}, is not beside it", "Copy both files of the pair")
    return (other, path) if wanted == "hdr" else (path, other)


def companions(path: Path) -> list[Path]:
    """Return the files beside an image that hold a part of it, by their names; nothing is opened."""
    half = _HALF.fullmatch(path.name)
    if half is not None:
        wanted = "hdr" if half[2].lower() == "img" else "img"
        return [twin for twin in _twins(path, half, wanted) if twin.is_file()][:1]
    named = (path.with_suffix(body) for body in _BODIES.get(path.suffix.lower(), ()))
    return [file for file in named if file.is_file()]


def is_second_half(name: str, beside: frozenset[str]) -> bool:
    """Tell whether a file is the header of an image that is among the names `beside` it."""
    half = _HALF.fullmatch(name)
    if half is None or half[2].lower() == "img":
        return False
    return any(f"{half[1]}.{kind}{packed}" in beside for kind in ("img", "IMG") for packed in ("", ".gz", ".GZ"))


def _twins(path: Path, half: re.Match[str], kind: str) -> Iterator[Path]:
    for spelling in (kind, kind.upper()):
        for packed in (half[3] or "", "", ".gz"):
            yield path.with_name(f"{half[1]}.{spelling}{packed}")
