"""State of an image file, by size and time, to tell whether it changed; nothing is opened."""

from __future__ import annotations

from pathlib import Path

from scanweave.studies.formats.image_names import frame_files, split_part
from scanweave.studies.formats.image_pairs import companions

CLASS_NAMES = "classes.txt"
"""Names of YOLO's classes, in the folder of its boxes or one of the two above it."""


def file_state(path: Path) -> list[int]:
    """Return size [bytes] and change time [ns] of an image, of `FILE` for a part `FILE#k` of it; `[]`: it is absent.

    Of YOLO's boxes (`a.txt#640x480`) those of the names of the classes follow, of an image in two files those of the
    other file, of a series in a file a frame those of each.
    """
    frames = frame_files(path)
    if len(frames) > 1:
        return [number for frame in frames for number in file_state(Path(frame))]
    file, part = split_part(path)
    names = find_class_names(file.parent) if part and file.suffix.lower() == ".txt" else None
    others = [*([] if names is None else [names]), *companions(file)]
    return [number for one in (file, *others) for number in _state(one)]


def find_class_names(folder: Path) -> Path | None:
    """Return where the names of YOLO's classes stand for the boxes in `folder`; None: nowhere."""
    return next((at / CLASS_NAMES for at in (folder, *folder.parents[:2]) if (at / CLASS_NAMES).is_file()), None)


def _state(file: Path) -> list[int]:
    try:
        about = file.stat()
    except (OSError, ValueError):  # a name that no file can have
        return []
    return [about.st_size, about.st_mtime_ns]
