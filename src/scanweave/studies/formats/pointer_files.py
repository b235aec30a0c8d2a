"""Files whose content was not fetched: what git-annex (DataLad) and Git LFS leave in their place."""

from __future__ import annotations

import os
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain

LONGEST_POINTER = 1024
"""Bytes of the longest file that stands for another."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = "annex/objects/"


def refuse_pointer(path: Path) -> None:
    """Refuse a link that leads nowhere and a file that only names the content it stands for.

    Raises:
        ScanweaveError: It is such a one; says how its content is fetched.
    """
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - pathlib raises on odd names
        target = str(path.readlink())
        if _ANNEX in target.replace("\\", "/"):
            raise _unfetched(path)
        raise ScanweaveError(path, f"a link to '{target}', which is not there", "Fetch the file that it stands for")
    if not is_plain(path) or path.stat().st_size > LONGEST_POINTER:
        return
    with path.open("rb") as stream:
        content = stream.read(LONGEST_POINTER)
    if content.startswith(_LFS):
        words = "a Git LFS pointer: its content was not fetched"
        raise ScanweaveError(path, words, f"In its repository run: git lfs pull --include '{path.name}'")
    if _ANNEX.encode() in content[:64]:
        raise _unfetched(path)


def _unfetched(path: Path) -> ScanweaveError:
    words = "a link of git-annex (DataLad): its content was not fetched"
    return ScanweaveError(path, words, f"In its dataset run: git annex get {path.name} (or datalad get)")
