"""Findings of a trial so far, a line a study, so that the same call goes on where one was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanweave.files import HeldFolder, atomic_write, is_plain, writing
from scanweave.locks import LOCK

FILE = "unfinished.jsonl"


class Unfinished:
    """The file of a trial that is not finished: what was asked for, then a line for each study that is done.

    Attributes:
        found: What was found of each study that is done.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self._path, self._asked = path, asked
        self.found = _read(path, asked)
        self._begun = False

    @classmethod
    @contextmanager
    def open(cls, folder: Path, asked: Mapping[str, Any]) -> Iterator[Unfinished]:
        """Hold the folder of a trial, and read what an earlier call for the same had found.

        Where nothing is found nothing is left behind.

        Args:
            folder: Of the results.
            asked: What the findings depend on, as plain values; those of another request are dropped.

        Raises:
            ScanweaveError: Another process writes to the folder, or it cannot be written to.
        """
        lock = HeldFolder(folder)
        try:
            yield cls(folder / FILE, asked)
        finally:
            if [path.name for path in folder.iterdir()] == [LOCK]:
                lock.discard()
            lock.release()

    def add(self, study: str, found: Any) -> Any:
        """Keep what was found of a study; return it as the next call will read it."""
        if not self._begun:  # without a line that a kill tore
            rows = [dict(self._asked), *({"study": name, "found": value} for name, value in self.found.items())]
            with atomic_write(self._path) as temporary:
                temporary.write_text("".join(map(_line, rows)), encoding="utf-8")
            self._begun = True
        line = _line({"study": study, "found": found})
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.found[study] = json.loads(line)["found"]
        return self.found[study]


def unfinished_about(folder: Path) -> Any:
    """Return which studies the trial is of that is not finished in a folder; None where there is none, or damaged."""
    path = folder / FILE
    first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if is_plain(path) else "{}"
    try:
        return json.loads(first).get("about")
    except (ValueError, AttributeError, RecursionError):
        return None


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
