"""All but plain files are refused before they are opened; leftovers of killed calls go with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, atomic_write, is_plain, plain_size, read_json, sweep, within, write_json
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan

NAMES = ("pipe", "endless", "loop", "gone", "folder", "n" * 300, "nul\0")
"""What can stand where a file should: see `odd`."""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a pipe, a device, a loop of links, a broken link and a folder."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("knot")
    (tmp_path / "knot").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_plain_file_is_told_in_words(odd: Path, name: str) -> None:
    with pytest.raises(ScanweaveError, match=r"pipe or device|a folder|no such file|cannot be read"):
        plain_size(odd / name)
    assert not is_plain(odd / name)
    with pytest.raises(ScanweaveError):
        read_json(odd / name, "Remove it")


def test_a_link_to_a_plain_file_counts_as_one(odd: Path) -> None:
    write_json(odd / "real.json", [1])
    (odd / "link.json").symlink_to("real.json")
    assert plain_size(odd / "link.json") == plain_size(odd / "real.json") > 0
    assert read_json(odd / "link.json", "") == [1]


def test_a_name_may_not_lead_out_of_its_folder(odd: Path) -> None:
    home = odd / "folder"
    (home / "inner").mkdir()
    (home / "away").symlink_to(odd)
    (home / "near").symlink_to("inner")
    for name in ("inner/x.png", "inner/../y.png", "near/x.png", home / "z.png"):
        assert within(home, name).name.endswith(".png")
    for name in ("../secret", "inner/../../secret", odd / "secret", "away/secret", "/etc/passwd"):
        with pytest.raises(ScanweaveError, match="lies outside of"):
            within(home, name)


CELLS = ("scan:t1", "mask:m", "boxes", "report", "embedding:e", "sinogram:ct")
ENDINGS = {"scan:t1": ".nii.gz", "mask:m": ".png", "boxes": ".json", "report": ".txt", "embedding:e": ".npy"}


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_that_names_no_plain_file_refuses_its_study_alone(odd: Path, kind: str) -> None:
    write_scan(odd / "good.nii.gz", Scan.of(np.random.default_rng(0).random((9, 9, 9)), np.diag([5, 5, 5, 1.0])))
    ending = ENDINGS.get(kind, ".h5")
    for name in NAMES[:5]:
        (odd / f"{name}{ending}").symlink_to(name)
    rows = [{"study": "good", "patient": "p", "scan:flair": "good.nii.gz"}]
    rows += [
        {"study": f"odd{number}", "patient": "p", "scan:flair": "good.nii.gz", kind: f"{name}{ending}"}
        for number, name in enumerate(NAMES[:6])
    ]
    cohort = Cohort.create(odd / "cohort", rows, root=odd, name="c", source="s", layout="table")
    found = {verdict.study: verdict for verdict in check_cohort(cohort)}
    assert len(found) == len(rows)
    assert found["good"].status != "refused"
    for number, name in enumerate(NAMES[:6]):
        refused = [one for one in found[f"odd{number}"].findings if one.status == "refused"]
        assert any(kind.partition(":")[0] in str(one.scan) or one.scan == "t1" for one in refused), name


def test_a_manifest_that_is_a_pipe_is_refused(odd: Path) -> None:
    cohort = odd / "cohort"
    rows = [{"study": "s", "patient": "p", "label:x": 1}]
    Cohort.create(cohort, rows, root=".", name="c", source="s", layout="table")
    (cohort / "manifest.parquet").unlink()
    os.mkfifo(cohort / "manifest.parquet")
    with pytest.raises(ScanweaveError, match="pipe or device"):
        Cohort.open(cohort)


KILLED = """
import os, sys, signal
from pathlib import Path
from scanweave.files import atomic_folder, atomic_write
with {write}(Path(sys.argv[1]) / "made.bin") as partial:
    (partial if partial.is_file() else partial / "a").write_bytes(b"half")
    print("writing", flush=True)
    {then}
"""


def _writer(folder: Path, write: str, then: str) -> subprocess.Popen[str]:
    code = KILLED.format(write=write, then=then)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("write", ["atomic_write", "atomic_folder"])
def test_the_next_write_removes_what_a_killed_one_left(tmp_path: Path, write: str) -> None:
    killed = _writer(tmp_path, write, "os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".partial-"]
    write_json(tmp_path / "other.json", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


@pytest.mark.parametrize("write", ["atomic_write", "atomic_folder"])
def test_what_a_live_process_is_writing_stays(tmp_path: Path, write: str) -> None:
    live = _writer(tmp_path, write, "sys.stdin.read()")
    assert live.stdout is not None
    assert live.stdout.readline() == "writing\n"
    sweep(tmp_path)
    write_json(tmp_path / "other.json", 1)
    live.communicate("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.bin", "other.json"]


def test_what_this_process_is_writing_stays(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as one, atomic_folder(tmp_path / "b") as other:
        sweep(tmp_path)
        assert one.is_file()
        assert other.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_links_and_pipes_by_the_name_of_a_partial_file_are_left_alone(odd: Path) -> None:
    (odd / ".partial-link").symlink_to(odd / "folder")
    sweep(odd)
    assert (odd / ".partial-link").is_symlink()
    assert (odd / "folder").is_dir()
