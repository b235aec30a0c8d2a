"""Answers of a reading study: written one by one as they come, and read again with the key."""

from __future__ import annotations

import json
import os
import re
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import make_folder, read_json
from scanweave.reading.build import ANSWERS, STUDY, key_hash

READER = re.compile(r"[A-Za-z0-9_-]{1,32}")
CUES = ("", "edge", "texture", "contrast", "location", "other")
_AGAIN = "Build the study again"


class ReadingStudy:
    """A study that is served: its items in each reader's order, and the answers so far.

    Args:
        folder: What `readers build` made.

    Raises:
        ScanweaveError: It holds no reading study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = read_json(folder / STUDY, _AGAIN)
        if not isinstance(found, dict) or not isinstance(found.get("items"), list):
            raise ScanweaveError(folder / STUDY, "is no reading study", _AGAIN)
        self.about: dict[str, Any] = found
        self.items: list[str] = [str(one) for one in found["items"]]
        self._writing = threading.Lock()

    def order(self, reader: str) -> list[str]:
        """Return the items in the order in which a reader sees them: his own, and always the same."""
        rng = np.random.default_rng([int(self.about["seed"]), zlib.crc32(reader.encode())])
        return [self.items[int(place)] for place in rng.permutation(len(self.items))]

    def answered(self, reader: str) -> list[dict[str, Any]]:
        """Return the answers of a reader so far."""
        path = self._path(reader)
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line break is not finished
        try:
            return [dict(json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise ScanweaveError(path, f"holds a line that is no answer ({error})", "Remove it") from error

    def next_item(self, reader: str) -> str | None:
        """Return the item that a reader sees next; None: he has seen all."""
        order, done = self.order(reader), len(self.answered(reader))
        return order[done] if done < len(order) else None

    def answer(self, reader: str, answer: dict[str, Any]) -> None:
        """Write an answer, to the item that is next and to no other: nobody goes back.

        Raises:
            ScanweaveError: It is to another item, or is none.
        """
        with self._writing:
            self._answer(reader, answer)

    def _answer(self, reader: str, answer: dict[str, Any]) -> None:
        wanted = self.next_item(reader)
        if answer.get("item") != wanted or wanted is None:
            raise ScanweaveError("item", "is not the one that is asked for", "Load the page again")
        sure, cue = answer.get("confidence"), answer.get("cue", "")
        if not isinstance(answer.get("made"), bool) or sure not in (1, 2, 3, 4, 5) or cue not in CUES:
            raise ScanweaveError("answer", "is incomplete", "Choose real or synthetic, and how sure from 1 to 5")
        seconds = answer.get("seconds", 0)
        told = {"item": wanted, "made": answer["made"], "confidence": sure, "cue": cue}
        told["seconds"] = round(float(seconds), 1) if isinstance(seconds, int | float) and 0 <= seconds < 1e6 else None
        path = self._path(reader)
        make_folder(path.parent)
        whole = path.read_bytes() if path.is_file() else b""
        with path.open("r+b" if whole else "wb") as lines:
            lines.truncate(whole.rfind(b"\n") + 1)  # of a server that was killed while it wrote
            lines.seek(0, os.SEEK_END)
            lines.write(json.dumps(told).encode() + b"\n")
            lines.flush()
            os.fsync(lines.fileno())

    def readers(self) -> list[str]:
        """Return the readers who have answered anything."""
        return sorted(path.stem for path in (self.folder / ANSWERS).glob("*.jsonl"))

    def _path(self, reader: str) -> Path:
        if not READER.fullmatch(reader):
            raise ScanweaveError("reader", "is no code", "Take 1 to 32 letters, digits, - or _")
        return self.folder / ANSWERS / f"{reader}.jsonl"


def read_key(path: Path, study: ReadingStudy) -> dict[str, dict[str, Any]]:
    """Return what each item is, after trying that the key is the one that was committed.

    Raises:
        ScanweaveError: It is another one, or was changed.
    """
    found = read_json(path, "Restore it")
    if not isinstance(found, dict) or not isinstance(found.get("items"), dict):
        raise ScanweaveError(path, "is no key of a reading study", "Name the file that build wrote by --key")
    if key_hash(found) != study.about.get("key_sha256"):
        reason = "is not the key that the study was built with: its hash is another one"
        raise ScanweaveError(path, reason, "Restore the key; a study whose key was changed says nothing")
    return {str(name): dict(about) for name, about in found["items"].items()}
