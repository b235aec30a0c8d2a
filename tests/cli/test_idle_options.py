"""Options of commands that nothing would read are refused by name, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanweave.cli.main import USAGE, main
from scanweave.cli.parsing import _refuse_unknown
from scanweave.cli.trial import COMMANDS
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.slice_scans import slice_scan
from scanweave.systems import registry


@pytest.fixture
def cohorts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a table without a file, and a cohort with one image."""
    monkeypatch.chdir(tmp_path)
    rows = [{"study": f"s{i}", "patient": f"p{i}", "table:age": 40.0 + i, "label:ill": i % 2} for i in range(4)]
    Cohort.create(tmp_path / "table", rows, root=".", name="table", source="x", layout="records")
    write_scan(tmp_path / "a.nii.gz", slice_scan(np.random.default_rng(0).random((30, 30)), 1.0))
    row = {"study": "a", "patient": "a", "scan:t1": "../a.nii.gz"}
    Cohort.create(tmp_path / "images", [row], root=".", name="images", source="x", layout="table")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("show table --studies 5", "--studies: has no effect: the cohort has no files to list"),
        ("check table --workers 4", "--workers: has no effect: the cohort has no files to read"),
        ("show images --studies -1", "--studies: -1 is less than 0"),
        ("check images --workers 0", "workers: 0 is too small"),
    ],
)
def test_an_option_without_effect_is_refused(
    cohorts: None, command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cohort", *command.split()]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {words}")


@pytest.mark.parametrize("command", ["show table", "check table", "show images --studies 0", "show images"])
def test_the_same_commands_do_without_it(cohorts: None, command: str) -> None:
    assert main(["cohort", *command.split()]) == 0


def test_workers_read_what_there_is(cohorts: None, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cohort", "check", "images", "--workers", "1"])
    assert "error" not in capsys.readouterr().err


@pytest.mark.parametrize("name", list(registry.OURS))
def test_no_option_of_a_system_is_taken_for_a_mistyped_one_of_its_verb(name):
    about = registry.OURS[name]
    for verb in COMMANDS.keys() & set(about.verbs):
        for option in about.options(verb).model_fields:
            _refuse_unknown(COMMANDS[verb], verb, [f"--{option}"], extra=True)
