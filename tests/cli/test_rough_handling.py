"""Closed or full output, names that no file can have, and imports that were killed end in words or go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanweave.cli.main import USAGE, main
from scanweave.studies import cohort as cohort_module
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort

LONG = "n" * 300


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """Run scanweave in a shell that does something to its streams."""
    command = f"{sys.executable} -m scanweave {words}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", ["systems >&-", "cohort show --help >&-", "systems >&- 2>&- <&-"])
def test_a_closed_output_is_no_fault(words: str) -> None:
    done = shell(words)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_output_is_told_in_one_line() -> None:
    done = shell("systems > /dev/full")
    assert done.returncode == USAGE
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["cohort", "show", LONG],
        ["cohort", "check", LONG],
        ["cohort", "split", LONG],
        ["cohort", "import", LONG, "--out", "out"],
        ["cohort", "import", ".", "--out", LONG],
        ["report", LONG],
        ["evaluate", LONG, "--cohort", LONG],
        ["predict", LONG, "--cohort", LONG, "--out", LONG],
        ["simulate", "brain", "--out", LONG],
        ["demo", "--out", LONG],
        ["cohort", "show", "loop"],
        ["cohort", "import", "loop", "--out", "out"],
        ["report", "loop"],
        ["cohort", "import", ".", "--out", "loop"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_names_that_no_file_can_have_end_in_one_line(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "t1.nii.gz").touch()
    assert main(arguments) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def source(folder: Path) -> Path:
    """Two patients with a file each, which an import does not open."""
    for patient in ("P1", "P2"):
        (folder / "src" / patient).mkdir(parents=True)
        (folder / "src" / patient / "t1.nii.gz").touch()
    return folder / "src"


def test_an_import_that_was_killed_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    src, out = source(tmp_path), tmp_path / "out"
    child = os.fork()
    if child == 0:  # dies when the manifest is written and cohort.json is not
        monkeypatch.setattr(cohort_module, "write_json", lambda *_: os._exit(9))
        import_cohort(src, out, say=lambda line: None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (out / ".partial-6kb2.parquet").write_bytes(b"PAR1")
    (out / ".partial-8xyz").mkdir()
    cohort = import_cohort(src, out, say=lambda line: None)
    assert cohort.patients == ["P1", "P2"]
    assert not list(out.glob(".partial-*"))


def test_a_cohort_is_named_after_its_folder(tmp_path: Path) -> None:
    made = import_cohort(source(tmp_path), tmp_path / "glioma", say=lambda line: None)
    assert made.about["name"] == "glioma"
    named = import_cohort(tmp_path / "src", tmp_path / "other", name="mine", say=lambda line: None)
    assert Cohort.open(named.folder).about["name"] == "mine"


def test_help_tells_each_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "seq2seq", "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--preset", "--help", "--device", "--cohort"):
        assert sum(f"{option} " in line.replace("-h, ", "")[:24] for line in said.splitlines()) == 1, option
    assert "--training.steps" in said
