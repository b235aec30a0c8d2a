import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanweave import files
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, atomic_write, refuse_absent, sweep, write_json

Write = Callable[[Path], AbstractContextManager[Path]]


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond `limit` bytes: a real refusal by the kernel, as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(100), pytest.raises(ScanweaveError, match=r"a\.json: cannot be written \(File too large\)\. Make"):
        write_json(tmp_path / "a.json", "x" * 10_000)
    refused = pytest.raises(ScanweaveError, match=r"case: cannot be written \(File too large\)\. Make")
    with small_disk(100), refused, atomic_folder(tmp_path / "case") as folder:
        (folder / "image.nii").write_bytes(bytes(10_000))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_older_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with small_disk(100), pytest.raises(ScanweaveError):
        write_json(tmp_path / "a.json", "x" * 10_000)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "1\n")]


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path, write: Write) -> None:
    (tmp_path / "afile").write_text("mine")
    for path, words in (("x", "File exists"), ("x/y", "Not a directory")):
        refused = pytest.raises(ScanweaveError, match=rf"afile.*: cannot be written \({words}\)")
        with refused, write(tmp_path / "afile" / path):
            pass
    assert (tmp_path / "afile").read_text() == "mine"


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
def test_a_read_only_folder_is_named(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    for name in ("mkstemp", "mkdtemp"):  # a test may run as root, whom no permission stops
        monkeypatch.setattr(files.tempfile, name, refuse)
    with pytest.raises(ScanweaveError, match=r"a: cannot be written \(Permission denied\)"), write(tmp_path / "a"):
        pass


def test_an_error_of_the_block_is_not_dressed_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".partial-a").mkdir()
    (tmp_path / ".partial-a" / "image.nii").touch()
    (tmp_path / ".partial-b.json").touch()
    (tmp_path / "whole.json").touch()
    sweep(tmp_path)
    sweep(tmp_path / "absent")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.json"]


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("bad", ["glia", "glia/cohort.json"])
def test_a_folder_that_cannot_be_looked_into_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, bad: str
) -> None:
    """The point of a dead mount, and a folder that others may not enter; a test may run as root, who may."""
    for name in ("glia", "glioma"):
        write_json(tmp_path / name / "cohort.json", {})
    stat = Path.stat

    def refuse(path: Path, **how: Any) -> os.stat_result:
        if path.is_relative_to(tmp_path / bad):
            raise OSError(number, os.strerror(number), str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ScanweaveError, match=r"gliom: there is no such folder\. Did you mean .*glioma\?"):
        refuse_absent(tmp_path / "gliom", "cohort.json")


def test_a_folder_that_cannot_be_listed_spoils_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Iterator[Path]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ScanweaveError, match="there is no such folder"):
        refuse_absent(tmp_path / "gone", "cohort.json")
