"""One documented command makes a model that ships, whole and with its card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import scanweave
from scanweave.engine import weight_sources
from scanweave.engine.run import Run
from scanweave.systems.seq2seq.config import BEST

pytest.importorskip("nilearn.datasets")
TOOL = Path(__file__).parents[1] / "tools" / "train_builtin.py"


def test_the_command_makes_a_model_that_opens_by_its_name(tmp_path, monkeypatch):
    out = tmp_path / "builtin" / "brain"
    command = [sys.executable, TOOL, "brain", "--out", out, "--work", tmp_path / "work", "--tier", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(weight_sources, "SHIPPED", out.parent)
    system = scanweave.open_run("builtin:brain")
    assert system.config.network == BEST.network  # else no fit of the preset could begin from it
    assert system.sequences == ("t1", "t1c", "t2", "flair")
    assert system.learnt_from() == frozenset()
    assert "machine" not in Run.open(out).record
    assert str(tmp_path) not in "".join(path.read_text() for path in out.iterdir() if path.suffix in (".json", ".md"))
    card = (out / "CARD.md").read_text()
    for words in ("No real patient", "MIT", "| flair |", "python tools/train_builtin.py brain", "Not for diagnosis"):
        assert words in card
    assert sum(path.stat().st_size for path in out.iterdir()) < 20e6
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert json.loads((tmp_path / "work" / "run" / "run.json").read_text())["state"] == "finished"
