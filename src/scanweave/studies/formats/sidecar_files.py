"""Files beside an image that describe it: in BIDS also those of folders above, which speak for many images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from scanweave.files import is_plain
from scanweave.studies.formats.image_names import suffix

SUBJECT = "sub-"
MOST_LEVELS = 4
"""Folders that may describe an image: of the data type, the session, the subject, and the data set."""
MOST_ENTITIES = 7
"""Parts of a name of which all choices are looked for; BIDS names have less."""


def sidecar_path(path: Path, ending: str) -> Path | None:
    """Return where a file would lie that describes one image, `scan.json` of `scan.nii.gz`; None for what is none."""
    kind = suffix(path)
    return None if kind is None else path.with_name(path.name[: -len(kind)] + ending)


def sidecars(path: Path, ending: str) -> list[Path]:
    """Return the files that describe an image, the nearest first.

    That of its own name comes first. Of a BIDS name, those follow whose entities are some of its own and whose suffix
    is the same, in its folder and in those above, up to that of the data set (BIDS, "The Inheritance Principle").

    Args:
        path: The image.
        ending: `.json` or `.bval`.
    """
    own = sidecar_path(path, ending)
    if own is None:
        return []
    stem = own.name[: -len(ending)]
    names = [own.name, *(_shared(stem, ending) if stem.startswith(SUBJECT) else ())]
    folders = _folders(path) if stem.startswith(SUBJECT) else [path.parent]
    return [file for folder in folders for name in names if is_plain(file := folder / name)]


def _shared(stem: str, ending: str) -> Iterator[str]:
    """Yield names of some of the entities of a name, those of the most first."""
    *entities, last = stem.split("_")
    if len(entities) <= MOST_ENTITIES:
        for count in range(len(entities) - 1, -1, -1):
            for chosen in combinations(entities, count):
                yield "_".join([*chosen, last]) + ending


def _folders(path: Path) -> list[Path]:
    """Return the folder of an image and those above it, up to the one that holds the folders of subjects."""
    folders = list(path.parents)[:MOST_LEVELS]
    subject = next((level for level, folder in enumerate(folders) if folder.name.startswith(SUBJECT)), -1)
    return folders[: subject + 2]
