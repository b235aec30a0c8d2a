"""Files taken in from a page: a folder for what is dropped together, under safe names, and capped."""

from __future__ import annotations

import re
import secrets
from pathlib import Path, PurePosixPath
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts.unread_files import has_preamble
from scanweave.web.caps import MOST_UPLOAD_BYTES

MOST_FILES, MOST_OPEN, DEEPEST = 100_000, 50, 8
"""Files that are taken in together, collections that are open at once, and folders above a file."""
NAMED = (".nii.gz", ".nii", ".zip", ".json", ".tsv", ".csv")
"""Endings of files that keep their names, since layouts are told by them; of all else DICOM is kept."""
SAFE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,80}")
NUMBER = re.compile(r"[0-9a-f]{16}")
STEP = "Drop .nii.gz, .nii, a .zip or a folder of DICOM, named by letters, digits, dots and dashes"


class Uploads:
    """Collections of files.

    Args:
        folder: Where they lie, each in a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._left: dict[str, int] = {}
        self._files: dict[str, int] = {}

    def open(self) -> str:
        """Return the name of a new collection.

        Raises:
            ScanweaveError: Too many are open.
        """
        if len(self._left) >= MOST_OPEN:
            raise ScanweaveError("upload", f"{MOST_OPEN} are open already", "Start the page again")
        name = secrets.token_hex(8)
        (self.folder / name).mkdir(parents=True)
        self._left[name], self._files[name] = MOST_UPLOAD_BYTES, 0
        return name

    async def take(self, name: str, told: str, request: Any) -> bool:
        """Write the body of a request as a file of a collection; tell whether it is one that may be taken in.

        Args:
            name: Of the collection.
            told: Name of the file, with the folders above it.
            request: Of Starlette.

        Raises:
            ScanweaveError: There is no such collection, the name is not safe, or there is too much of it.
        """
        own = self._own(name)
        if self._files[name] >= MOST_FILES:
            raise ScanweaveError("upload", f"has more than {MOST_FILES} files", "Use scanweave cohort import")
        path = own / self._place(told, self._files[name])
        self._files[name] += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = False
        try:
            with path.open("wb") as file:
                async for block in request.stream():
                    self._left[name] -= len(block)
                    if self._left[name] < 0:
                        raise ScanweaveError("upload", "is larger than 8 GiB", "Use scanweave cohort import")
                    file.write(block)
            whole = path.name.lower().endswith(NAMED) or has_preamble(path)
        finally:
            if not whole:
                path.unlink(missing_ok=True)
        return whole

    def _place(self, told: str, number: int) -> Path:
        """Return where a file lies in its collection.

        Raises:
            ScanweaveError: Its name is not safe.
        """
        parts = PurePosixPath(told).parts
        if not told.lower().endswith(NAMED):
            return Path(f"{number:06d}.dcm")
        if not 0 < len(parts) <= DEEPEST + 1 or not all(SAFE.fullmatch(part) for part in parts):
            raise ScanweaveError("upload", "is no file that is taken in", STEP)
        return Path(*parts)

    def close(self, name: str) -> Path:
        """Return what is to be imported of a collection: its folder, or its only zip.

        Raises:
            ScanweaveError: There is no such collection, or nothing in it.
        """
        own = self._own(name)
        files = [path for path in own.rglob("*") if path.is_file()]
        if not files:
            raise ScanweaveError("upload", "holds no file", STEP)
        del self._left[name], self._files[name]
        return files[0] if len(files) == 1 and files[0].suffix == ".zip" else own

    def _own(self, name: str) -> Path:
        if not NUMBER.fullmatch(name) or name not in self._left:
            raise ScanweaveError("upload", "there is no such collection", "Load the page again")
        return self.folder / name
