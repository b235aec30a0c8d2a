"""Results of a trial so far, a line a study, so that the same call goes on where one was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scanweave.engine.lock import FolderLock
from scanweave.files import atomic_write, is_plain, make_folder, writing

FILE = "unfinished.jsonl"


class Unfinished:
    """The file of a trial that is not finished: what was asked for, then a line for each study that is done.

    Attributes:
        found: What was found of each study that is done.
    """

    def __init__(self, found: dict[str, Any], file: IO[str]) -> None:
        self.found, self._file = found, file

    @classmethod
    @contextmanager
    def open(cls, folder: Path, asked: Mapping[str, Any]) -> Iterator[Unfinished]:
        """Hold the folder of a trial, and read what an earlier call for the same had found.

        Args:
            folder: Of the results.
            asked: What the findings depend on, as plain values; those of another request are dropped.

        Raises:
            ScanweaveError: Another process writes to the folder, or it cannot be written to.
        """
        make_folder(folder)
        lock = FolderLock(folder)
        try:
            path = folder / FILE
            found = _read(path, asked)
            rows = [dict(asked), *({"study": study, "found": value} for study, value in found.items())]
            with atomic_write(path) as temporary:  # without a line that a kill tore
                temporary.write_text("".join(_line(row) for row in rows), encoding="utf-8")
            with writing(path), path.open("a", encoding="utf-8") as file:
                yield cls(found, file)
        finally:
            lock.release()

    def add(self, study: str, found: Any) -> Any:
        """Keep what was found of a study; return it as the next call will read it."""
        line = _line({"study": study, "found": found})
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.found[study] = json.loads(line)["found"]
        return self.found[study]


def remove_unfinished(folder: Path) -> None:
    """Remove the file of a trial whose results are written."""
    (folder / FILE).unlink(missing_ok=True)


def _read(path: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an earlier call had found; nothing if it asked for something else. A torn line was not finished."""
    if not is_plain(path):
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    found: dict[str, Any] = {}
    try:
        if not lines or json.loads(lines[0]) != json.loads(_line(dict(asked))):
            return {}
        for line in lines[1:]:
            row = json.loads(line)
            found[str(row["study"])] = row["found"]
    except (ValueError, TypeError, KeyError, RecursionError):  # damaged: measured again
        return {}
    return found


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Return a number or array of numpy, or a path, as JSON has it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist()
