"""One process at a time in a folder, by a lock that the kernel lets go when the process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from pathlib import Path
from typing import IO

from scanweave.errors import ScanweaveError

LOCK = ".lock"
"""Name of the file by which a folder is held."""
_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


class FolderLock:
    """An exclusive lock on a folder, held until `release` or the end of the process.

    Raises:
        ScanweaveError: Another process holds the lock, or the file system offers none.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._file: IO[str] = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ScanweaveError(path, f"cannot be opened ({error.strerror})", "Make the folder writable") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise ScanweaveError(
                    path, f"the file system gives no lock ({error.strerror})", "Choose a folder on another disk"
                ) from error
            raise ScanweaveError(
                folder, f"in use by process {holder}", "Wait until it has ended, or choose another folder"
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()
        _HELD.add(self)

    def release(self) -> None:
        """Let the lock go."""
        self._file.close()


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
