"""Files taken in from a page: what is dropped together lies in a folder, under safe names, until it is imported."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts.unread_files import has_preamble
from scanweave.web.caps import MOST_UPLOAD_BYTES

MOST_FILES, MOST_OPEN, DEEPEST, LONGEST = 100_000, 50, 8, 80
"""Files of a collection, collections that are open at once, folders above a file, characters of a name."""
NAMED = (".nii.gz", ".nii", ".json", ".tsv", ".csv")
"""Endings of files that keep their names, since layouts are told by them; of all else DICOM, and zips, are kept."""
ZIP = ".zip"
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
NUMBER = re.compile(r"[0-9a-f]{16}")
STEP = "Drop .nii.gz, .nii, a .zip or a folder of DICOM"


@dataclass
class Collection:
    """Files that are dropped together.

    Attributes:
        left: Bytes that it may still take.
        files: That it was asked to take.
        arriving: Of them, those whose bytes are on their way.
    """

    left: int = MOST_UPLOAD_BYTES
    files: int = 0
    arriving: int = 0


class Uploads:
    """Collections of files.

    Args:
        folder: Where they lie, each in a folder of its own that its owner alone can read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Collection] = {}
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier page, whose jobs have ended with it

    def open(self) -> str:
        """Return the name of a new collection.

        Raises:
            ScanweaveError: Too many are open.
        """
        if len(self._open) >= MOST_OPEN:
            raise ScanweaveError("upload", f"{MOST_OPEN} are open already", "Start the page again")
        name = secrets.token_hex(8)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / name).mkdir(mode=0o700)
        self._open[name] = Collection()
        return name

    async def take(self, name: str, told: str, request: Any) -> bool:
        """Write the body of a request as a file of a collection; tell whether it is one that may be taken in.

        Args:
            name: Of the collection.
            told: Name of the file, with the folders above it.
            request: Of Starlette.

        Raises:
            ScanweaveError: There is no such collection, the name leads out, or there is too much of it.
        """
        own = self._own(name)
        if own.files >= MOST_FILES:
            raise ScanweaveError("upload", f"has more than {MOST_FILES} files", "Use scanweave cohort import")
        path = self.folder / name / place_of(told, own.files)
        own.files += 1
        own.arriving += 1
        try:
            return await self._written(path, own, request)
        finally:
            own.arriving -= 1

    async def _written(self, path: Path, own: Collection, request: Any) -> bool:
        whole = mine = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                mine = True
                async for block in request.stream():
                    own.left -= len(block)
                    if own.left < 0:
                        raise ScanweaveError("upload", "is larger than 8 GiB", "Use scanweave cohort import")
                    file.write(block)
            whole = path.name.endswith((*NAMED, ZIP)) or has_preamble(path)
        except FileExistsError as error:
            raise ScanweaveError("upload", "holds a file of that name already", "Drop each file once") from error
        except OSError as error:
            raise ScanweaveError(
                "upload", f"cannot be written ({error.strerror})", "Make room, and try again"
            ) from error
        finally:
            if mine and not whole:
                path.unlink(missing_ok=True)
        return whole

    def source(self, name: str) -> Path:
        """Return what is to be imported of a collection: its folder, or its only zip.

        Raises:
            ScanweaveError: There is no such collection, nothing in it, or something of it on its way.
        """
        if self._own(name).arriving:
            raise ScanweaveError("upload", "is still arriving", "Wait until all files are there")
        files = [path for path in (self.folder / name).rglob("*") if path.is_file()]
        if not files:
            raise ScanweaveError("upload", "holds no file that can be taken in", STEP)
        return files[0] if len(files) == 1 and files[0].suffix == ZIP else self.folder / name

    def close(self, name: str) -> Path:
        """Take nothing more into a collection; return its folder, for who imports it to remove.

        Raises:
            ScanweaveError: There is no such collection.
        """
        self._own(name)
        del self._open[name]
        return self.folder / name

    def drop(self, name: str) -> None:
        """Remove a collection.

        Raises:
            ScanweaveError: There is no such collection.
        """
        shutil.rmtree(self.close(name), ignore_errors=True)

    def _own(self, name: str) -> Collection:
        if not NUMBER.fullmatch(name) or name not in self._open:
            raise ScanweaveError("upload", "there is no such collection", "Load the page again")
        return self._open[name]


def place_of(told: str, number: int) -> Path:
    """Return where a file lies in its collection: images by their own names made safe, all else by number.

    Raises:
        ScanweaveError: Its name leads out, or lies too deep.
    """
    low = told.lower()
    if low.endswith(ZIP):
        return Path(f"{number:06d}{ZIP}")
    ending = next((one for one in NAMED if low.endswith(one)), None)
    if ending is None:
        return Path(f"{number:06d}.dcm")
    parts = PurePosixPath(told[: -len(ending)]).parts
    if not 0 < len(parts) <= DEEPEST + 1 or parts[0] == "/" or ".." in parts:
        raise ScanweaveError("upload", "has a name that leads out, or lies too deep", STEP)
    safe = [UNSAFE.sub("-", part).lstrip(".")[:LONGEST] or "-" for part in parts]
    return Path(*safe[:-1], safe[-1] + ending)
