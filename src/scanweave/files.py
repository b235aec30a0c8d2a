"""Files that appear whole or not at all, and JSON read with typed errors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError

MAX_JSON_BYTES = 256 * 2**20
"""Largest JSON file that is read: a manifest or config above this is not one of ours."""


def sync(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename after it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
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


def make_folder(path: str | Path) -> None:
    """Make a folder and those that it lies in, where they are not there yet.

    Raises:
        ScanweaveError: It cannot be made.
    """
    with writing(path):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    The temporary name keeps the suffixes of `path`, since many writers choose the format by them.

    Raises:
        ScanweaveError: The disk refuses, see `writing`.
    """
    path = Path(path)
    make_folder(path.parent)
    with writing(path):
        suffix = "".join(path.suffixes)
        descriptor, name = tempfile.mkstemp(prefix=".partial-", suffix=suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
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
    with writing(path):
        temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
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
    """Remove what killed processes left half-written in `folder`; only for whoever alone writes there."""
    with writing(folder):
        for path in folder.glob(".partial-*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def read_json(path: str | Path, next_step: str) -> Any:
    """Read a JSON file; a fault names the file, the line and `next_step`."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ScanweaveError(
                path, f"larger than {MAX_JSON_BYTES // 2**20} MiB, so not a JSON file of ours", next_step
            )
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
