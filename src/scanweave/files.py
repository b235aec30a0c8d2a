"""Files that appear whole or not at all, and JSON read with typed errors."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.locks import LOCK, FolderLock, hold

MAX_JSON_BYTES = 256 * 2**20
"""Largest JSON file that is read: a manifest or config above this is not one of ours."""
_PARTIAL = ".partial-"
"""Prefix of the names of files and folders while they are written."""
_SWEPT: set[str] = set()
"""Folders that this process has swept."""


def sync(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename after it survives a power cut."""
    windows = sys.platform == "win32"  # it flushes only what is open for writing, which no folder is
    if windows and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the disk refuses in the block into an error that names `path`.

    Raises:
        ScanweaveError: The disk is full or read-only, a file stands where a folder should be, and the like.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        step = "Make room, or choose a folder that can be written to, then run the same command"
        raise ScanweaveError(path, reason, step) from error


def make_folder(path: str | Path) -> list[Path]:
    """Make a folder and those that it lies in, where they are not there yet.

    Returns:
        Those that were made, the innermost first.

    Raises:
        ScanweaveError: It cannot be made.
    """
    path = Path(path)
    with writing(path):
        absent = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
        path.mkdir(parents=True, exist_ok=True)
    return absent


class HeldFolder(FolderLock):
    """A lock on a folder that is made where it is not there, and that a refused call leaves as it found it.

    Attributes:
        bare: Whether the folder was not there, or held nothing but hidden files.

    Raises:
        ScanweaveError: As `FolderLock`; or the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, make_folder(folder)
        self._is_new = not (folder / LOCK).exists()
        try:
            super().__init__(folder)
        except ScanweaveError:
            with suppress(OSError):
                if (folder / LOCK).stat().st_size == 0:  # of a process that holds it, it tells the number
                    self._clear()
            raise
        self.bare = all(path.name.startswith(".") for path in folder.iterdir())

    def discard(self) -> None:
        """Let the lock go and leave the folder as it was found: what was written to a bare one is removed."""
        for path in filter(_is_written, self._folder.iterdir()) if self.bare else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if sys.platform == "win32":  # it removes no file that is open
            self.release()
        self._clear()
        self.release()

    def _clear(self) -> None:
        """Remove the file of the lock and the folders that were made for it, unless they hold something else."""
        with suppress(OSError):  # what may not be removed is no reason to hide why the call was refused
            if self._is_new:
                (self._folder / LOCK).unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()


def _is_written(path: Path) -> bool:
    """Tell whether a file or folder is none of those hidden ones that a bare folder may have held before."""
    return not path.name.startswith(".") or path.name.startswith(_PARTIAL)


@contextmanager
def atomic_write(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    The temporary name keeps the suffixes of `path`, since many writers choose the format by them. What is `private` can
    be read by its owner alone.

    Raises:
        ScanweaveError: The disk refuses, see `writing`.
    """
    path = Path(path)
    make_folder(path.parent)
    with writing(path), _partial(path.parent, "".join(path.suffixes)) as temporary:
        try:
            yield temporary
            temporary.chmod(0o600 if private else 0o666 & ~_umask())
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that is renamed to it only if the block succeeds.

    Args:
        path: The folder.
        lasting: Whether it must be there after a power cut. What is made again if it is absent need not wait for the
            disk to note two folders: if the folder is there, its files are whole all the same.

    Raises:
        ScanweaveError: The disk refuses, see `writing`.
    """
    path = Path(path)
    make_folder(path.parent)
    with writing(path), _partial(path.parent) as temporary:
        try:
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            temporary.chmod(0o777 & ~_umask())
            if lasting:
                sync(temporary)
            temporary.rename(path)
            if lasting:
                sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder`; what a live one is writing stays.

    Every folder is swept before this process first writes to it by `atomic_write` or `atomic_folder`. On Windows
    nothing tells the two apart, see `locks.hold`, so all stays.
    """
    for path in folder.glob(f"{_PARTIAL}*"):
        descriptor = hold(path)
        if descriptor is not None:
            with suppress(OSError):  # whoever may not remove it may still write beside it
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def _partial(folder: Path, suffix: str | None = None) -> Iterator[Path]:
    """Yield a new file with that suffix in `folder`, or a new folder, that no `sweep` removes meanwhile."""
    key = os.path.realpath(folder)
    if key not in _SWEPT:
        sweep(folder)
        _SWEPT.add(key)
    while True:
        if suffix is None:
            name = tempfile.mkdtemp(prefix=_PARTIAL, dir=folder)
        else:
            opened, name = tempfile.mkstemp(prefix=_PARTIAL, suffix=suffix, dir=folder)
            os.close(opened)
        descriptor = hold(Path(name))
        try:
            if os.path.lexists(name):  # else another process swept it before it could be held
                yield Path(name)
                return
        finally:
            if descriptor is not None:
                os.close(descriptor)


def plain_size(path: str | Path, next_step: str = "Check the path") -> int:
    """Return the size [bytes] of a plain file, links followed.

    Ask before a file from outside is opened: to open a pipe waits for ever, and a device has no end.

    Raises:
        ScanweaveError: There is none of that name, or it is a folder, a pipe, a device or a loop of links.
    """
    try:
        about = Path(path).stat()
    except FileNotFoundError as error:
        raise ScanweaveError(path, "no such file", next_step) from error
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise ScanweaveError(path, reason, next_step) from error
    if not stat.S_ISREG(about.st_mode):
        kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a pipe or device"
        raise ScanweaveError(path, f"is {kind}, not a plain file", next_step)
    return about.st_size


def real_path(path: str | Path) -> Path:
    """Return an absolute path with links followed; a loop of links stays as it is, where pathlib may raise."""
    return Path(os.path.realpath(path))


def is_plain(path: str | Path) -> bool:
    """Return whether a plain file of that name is there; a name that no file can have is none."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def is_folder(path: str | Path) -> bool:
    """Return whether a folder of that name is there; a name that no folder can have is none."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def refuse_absent(folder: str | Path, mark: str, next_step: str = "Check the path") -> None:
    """Refuse a folder that is not there, and name the one that may be meant.

    Args:
        folder: What a user named.
        mark: File that tells a folder of this kind, such as `cohort.json`.
        next_step: What to do where no folder with that file has nearly this name.

    Raises:
        ScanweaveError: There is no such folder.
    """
    if is_folder(folder):
        return
    meant = folder_meant(Path(folder), mark)
    reason = "is a file, not a folder" if is_plain(folder) else "there is no such folder"
    raise ScanweaveError(folder, reason, next_step if meant is None else f"Did you mean {meant}?")


def folder_meant(path: Path, mark: str) -> Path | None:
    """Return the folder of nearly this path that holds a file `mark`; any step of the path may be mistyped."""
    parent: Path | None = path.parent
    if not is_folder(path.parent):
        parent = folder_meant(path.parent, "") if path.parent != path else None
    if parent is None:
        return None
    there = list(_folders_with(mark, parent))
    near = [path.name] if path.name in there else difflib.get_close_matches(path.name, there, n=1)
    return parent / near[0] if near else None


def _folders_with(mark: str, parent: Path) -> Iterator[str]:
    """Yield the names of the folders in `parent` that hold a file `mark`; what cannot be looked into is passed over."""
    with suppress(OSError):
        for one in parent.iterdir():
            with suppress(OSError):  # such as the point of a dead mount
                if is_folder(one) and (one / mark).exists():
                    yield one.name


def lies_within(folder: str | Path, path: str | Path) -> bool:
    """Tell whether a file or folder lies in `folder`, or is it, links followed; neither need be there.

    Raises:
        OSError, ValueError: No file can have such a name, or the links are a loop.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def within(folder: str | Path, name: str | Path) -> Path:
    """Return the path of a file or folder that lies in `folder`, which need not be there.

    Ask where `name` comes from a file: what someone else wrote must not lead to other files of this machine.

    Raises:
        ScanweaveError: Followed through `..` and links it lies elsewhere, or the links are a loop.
    """
    path = Path(folder) / name
    try:
        inside = lies_within(folder, path)
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise ScanweaveError(path, reason, "Check the path") from error
    if not inside:
        raise ScanweaveError(path, f"lies outside of {folder}", "Put the file itself there, not a link or path to it")
    return path


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal; raises OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: str | Path, next_step: str) -> Any:
    """Read a JSON file; a fault names the file, the line and `next_step`."""
    path = Path(path)
    if plain_size(path, next_step) > MAX_JSON_BYTES:
        raise ScanweaveError(path, f"larger than {MAX_JSON_BYTES // 2**20} MiB, so not a JSON file of ours", next_step)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # Windows programs put a byte-order mark first
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", next_step) from error
    except ValueError as error:
        raise ScanweaveError(path, f"not valid JSON ({error})", next_step) from error
    except RecursionError as error:
        raise ScanweaveError(path, "JSON nested too deeply", next_step) from error


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


def json_text(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
