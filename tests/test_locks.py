"""A folder belongs to one process at a time, on systems without fcntl too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanweave.errors import ScanweaveError
from scanweave.locks import LOCK, FolderLock, hold, is_locked

WINDOWS = """
import os, sys, types
from pathlib import Path

sys.modules["fcntl"] = None  # what is absent there, and a lock as it is there
for name in ("register_at_fork", "fork", "O_NONBLOCK", "O_NOFOLLOW", "fchmod", "mkfifo", "getuid"):
    delattr(os, name)
held = {}

def lock_descriptor(descriptor, *, blocking):
    inode = os.fstat(descriptor).st_ino
    try:
        if os.fstat(held[inode]).st_ino == inode and held[inode] != descriptor:
            return False
    except (KeyError, OSError):
        pass
    held[inode] = descriptor
    return True

sys.modules["filelock"] = types.SimpleNamespace(lock_descriptor=lock_descriptor)
from scanweave.engine import interrupt, run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, sweep, write_json
from scanweave.locks import FolderLock, hold, is_locked
from scanweave.studies.preparing.prepared_cache import _alone

sys.platform = "win32"
folder = Path(sys.argv[1])
lock = FolderLock(folder)
try:
    FolderLock(folder)
except ScanweaveError as error:
    assert f"in use by process {os.getpid()}." in str(error), error
else:
    raise AssertionError("taken twice")
assert is_locked(folder)
lock.release()
assert not is_locked(folder)
FolderLock(folder).release()
assert hold(folder) is None
write_json(folder / "a.json", 1)
with atomic_folder(folder / "b") as partial:
    (partial / "c").touch()
    sweep(folder)
with _alone(folder / "study") as alone:
    assert not alone
started = run.Run.start(folder / "run", "any", {})
assert run.Run.open(folder / "run").state == "running"
started.close()
with interrupt.StopRequest():
    print(sorted(path.name for path in folder.iterdir()))
"""
"""What a process does there: a run in a folder, files written whole, a cache shared with others."""


def test_a_system_without_fcntl_takes_and_frees_locks_and_writes_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WINDOWS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['.lock', 'a.json', 'b', 'run', 'study']"


def test_a_file_or_folder_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    first = hold(tmp_path)
    assert first is not None
    assert hold(tmp_path) is None
    os.close(first)
    again = hold(tmp_path, wait=True)
    assert again is not None
    os.close(again)
    assert hold(tmp_path / "absent") is None


def test_who_waits_gets_the_folder_once_it_is_free(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom scanweave.locks import hold\n"
        "hold(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert hold(tmp_path) is None
        other.kill()
        taken = hold(tmp_path, wait=True)
    assert taken is not None
    os.close(taken)


def test_a_lock_without_a_number_is_still_a_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    (tmp_path / LOCK).write_bytes(b"")
    with pytest.raises(ScanweaveError, match="in use by process unknown"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "absent")


def test_where_a_file_system_has_no_locks_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    with pytest.raises(ScanweaveError, match=r"gives no lock \(Function not implemented\)\. Choose a folder"):
        FolderLock(tmp_path)
    assert hold(tmp_path) is None
    assert not is_locked(tmp_path)
