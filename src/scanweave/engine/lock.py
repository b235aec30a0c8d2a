"""One process at a time in a folder, by a lock that the kernel lets go when the process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

from scanweave.errors import ScanweaveError
from scanweave.files import PARTIAL, make_folder

LOCK = ".lock"
"""Name of the file by which a folder is held."""
_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


class FolderLock:
    """An exclusive lock on a folder, held until `release`, `discard` or the end of the process.

    The folder is made where it is not there.

    Attributes:
        bare: Whether the folder was not there, or held nothing but hidden files.

    Raises:
        ScanweaveError: Another process holds the lock, the file system offers none, or the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / LOCK
        self._made = make_folder(folder)
        self._is_new = not self._path.exists()
        try:
            self._file: IO[str] = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            self._clear()
            raise ScanweaveError(
                self._path, f"cannot be opened ({error.strerror})", "Make the folder writable"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._refusal(error) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()
        self.bare = all(path.name.startswith(".") for path in folder.iterdir())
        _HELD.add(self)

    def _refusal(self, error: OSError) -> ScanweaveError:
        self._file.seek(0)
        holder = self._file.read().strip() or "unknown"
        self._file.close()
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            reason, step = f"in use by process {holder}", "Wait until it has ended, or choose another folder"
            return ScanweaveError(self._folder, reason, step)
        self._clear()
        return ScanweaveError(
            self._path, f"the file system gives no lock ({error.strerror})", "Choose a folder on another disk"
        )

    def release(self) -> None:
        """Let the lock go."""
        self._file.close()

    def discard(self) -> None:
        """Let the lock go and leave the folder as it was found: what was written to a bare one is removed."""
        for path in filter(_is_written, self._folder.iterdir()) if self.bare else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._clear()
        self.release()

    def _clear(self) -> None:
        """Remove the file of the lock and the folders that were made for it, unless they hold something else."""
        with suppress(OSError):  # what may not be removed is no reason to hide why the call was refused
            if self._is_new:
                self._path.unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()


def _is_written(path: Path) -> bool:
    """Tell whether a file or folder is none of those hidden ones that a bare folder may have held before."""
    return not path.name.startswith(".") or path.name.startswith(PARTIAL)


def is_locked(folder: Path) -> bool:
    """Return whether a live process holds the lock of `folder`."""
    try:
        with (folder / LOCK).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False


def _let_go_in_child() -> None:
    # A forked reader shares the lock and outlives a killed parent by seconds: closing its copy leaves the parent's be.
    for lock in _HELD:
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
