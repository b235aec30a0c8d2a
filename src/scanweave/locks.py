"""Exclusive locks, on every system, that it lets go when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import cast

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
            self._file = _opened(path, "a+b")
        except OSError as error:
            raise ScanweaveError(path, f"cannot be opened ({error.strerror})", "Make the folder writable") from error
        try:
            free = _take(self._file.fileno())
        except OSError as error:
            self._file.close()
            reason = f"the file system gives no lock ({error.strerror})"
            raise ScanweaveError(path, reason, "Choose a folder on another disk") from error
        if not free:
            holder = _holder(self._file)
            self._file.close()
            step = "Wait until it has ended, or choose another folder"
            raise ScanweaveError(folder, f"in use by process {holder}", step)
        with suppress(OSError):  # on a full disk it is held all the same, by a process without a number
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())
        _HELD.add(self)

    def release(self) -> None:
        """Let the lock go."""
        self._file.close()


def is_locked(folder: Path) -> bool:
    """Return whether a live process holds the lock of `folder`."""
    for mode in ("r+b", "rb"):  # NFS locks only what is open for writing
        with suppress(OSError), _opened(folder / LOCK, mode) as file:
            return not _take(file.fileno())
    return False


def hold(path: Path, *, wait: bool = False) -> int | None:
    """Return a descriptor that holds a file or folder itself until it is closed; None where that cannot be.

    It cannot be if another process holds it, unless `wait` asks to wait for that; if it is gone or a link; on file
    systems without locks; and on Windows, where no folder can be opened, and a lock on a file would keep its own
    process from writing to it.
    """
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        if _take(descriptor, wait=wait):
            return descriptor
    os.close(descriptor)
    return None


def _take(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file; return False where another process holds it. An OSError: there are no locks."""
    from filelock import lock_descriptor

    return lock_descriptor(descriptor, blocking=wait)


def _opened(path: Path, mode: str) -> FileIO:
    return cast(FileIO, path.open(mode, buffering=0))


def _holder(file: FileIO) -> str:
    """Return the number of the process that holds the lock of an open file."""
    for start in (0, 1):  # nobody else may read the locked byte on Windows, which is the first one
        with suppress(OSError):
            file.seek(start)
            return (file.read(32) or b"").decode(errors="replace").strip() or "unknown"
    return "unknown"


def _let_go_in_child() -> None:
    # A forked reader shares the lock and outlives a killed parent by seconds: closing its copy leaves the parent's be.
    for lock in _HELD:
        lock.release()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_let_go_in_child)
