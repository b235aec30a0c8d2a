"""Whether an image changed: told by its size and time, nothing is opened."""

from __future__ import annotations

from pathlib import Path

from scanweave.studies.formats.image_reader import split_part


def file_state(path: Path) -> list[int]:
    """Return size [bytes] and change time [ns] of an image, of `FILE` for its part `FILE#k`; `[]` if it is absent."""
    try:
        about = split_part(path)[0].stat()
    except (OSError, ValueError):  # a name that no file can have
        return []
    return [about.st_size, about.st_mtime_ns]
