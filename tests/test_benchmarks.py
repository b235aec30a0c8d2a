"""Every benchmark says its tiers and runs its smoke tier to its table: mechanics only, no figure is judged."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    "acid",
    "adamedgraph_planted",
    "adamedgraph_speed",
    "adamedgraph_tables",
    "betarank_speed",
    "bids_examples",
    "chexdet",
    "freetumor_readers",
    "manifest_scale",
    "mome",
    "mome_real",
    "mome_speed",
    "seq2seq_4d",
    "seq2seq_fusion",
    "seq2seq_throughput",
    "seq2seq_truth",
    "simulate_speed",
    "statistics_calibration",
    "ultra",
    "verb_start",
    "web_hostile",
]
REAL = ["ct_real", "dicom_roundtrip", "mim_labels", "prepare", "segment", "seq2seq_real", "seq2seq_zeroshot"]
"""Those that need the real scans."""
STAY_OUT = {
    "phone_page": "needs Chromium; what it runs is that of tests/framework/test_exporting.py",
    "viewer": "needs Chromium; make test-browser drives the page",
    "export": "takes half a minute even so; its parts are those of tests/framework/test_exporting.py",
    "betarank": "takes half a minute even so; its fits and prunings are those of tests/framework/test_pruning.py",
    "chexdet_speed": "takes a minute even so: networks at full size; ours is that of tests/systems/detect",
    "seq2seq_speed": "takes most of a minute even so; its steps are those of tests/systems/seq2seq",
    "freetumor_mechanics": "takes half a minute even so; what it asks of many requests tests/tumours asks of some",
    "freetumor": "takes half a minute even so: a fit of three stages and a plain one; its parts are those of "
    "tests/systems/freetumor",
    "mg3d": "takes three minutes even so, as mgca does; its parts are those of tests/systems/mg3d",
    "mgca": "takes a minute even so: two seeds of five arms; its parts are those of tests/systems/mgca",
    "mim_simulated": "takes most of a minute even so; its fits are those of mim_labels, its bodies are tried in "
    "tests/simulate/test_bodies.py",
    "mim_speed": "starts four processes with a network of 71 million parameters; tests/nets/test_hybrid_encoder.py "
    "tries that visible blocks are those of a whole pass",
    "chexdet_cells": "trains torchvision's Faster R-CNN, which takes most of a minute even so; our side is that of "
    "tests/systems/detect",
    "classify": "needs the real films; its fit is that of tests/systems/classify, its controls are scikit-learn's",
    "ct_projector": "needs ASTRA, which is no part of the locked environment",
    "ct_speed": "needs ASTRA too",
    "evaluate_speed": "starts a dozen whole commands; each of them is tried in tests/cli and tests/systems/seq2seq",
    "engine_resume": "kills whole commands; tests/engine/test_resume.py kills trainings of the same task",
    "seq2seq_parity": "needs a checkout of the authors' code, which no test may download",
}
"""Benchmarks whose smoke tier does not run here, and why."""
NO_STUDY = {
    "freetumor_mechanics": "what holds of 400 requests needs no more of them",
    "bids_examples": "one listing of the whole collection is all that there is to measure",
}
"""Benchmarks without the tier `study`, and why."""
ALL = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if "= benchmark_arguments(" in path.read_text("utf-8")
)


def test_every_benchmark_runs_here_or_says_why_not():
    assert sorted([*SCRIPTS, *REAL, *STAY_OUT]) == ALL


@pytest.mark.parametrize("script", ALL)
def test_help_names_the_tiers(script, monkeypatch, capsys):
    """In this process: libraries that all of them load are loaded once."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "benchmarks" / f"{script}.py"), run_name="__main__")
    assert stop.value.code == 0
    told = capsys.readouterr().out
    tiers = re.search(r"--tier \{([\w,]+)\}", told)
    assert tiers is not None
    assert tiers[1].split(",") == ["smoke", "proof", *([] if script in NO_STUDY else ["study"])]
    assert "--json" in told


@pytest.mark.parametrize("script", [*SCRIPTS, *(pytest.param(name, marks=pytest.mark.real) for name in REAL)])
def test_smoke_tier(script, tmp_path, request):
    if script in REAL:
        request.getfixturevalue("real_data")
    result = tmp_path / "result.json"
    command = [sys.executable, f"benchmarks/{script}.py", "--tier", "smoke", "--json", str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    claims = json.loads(result.read_text())["claims"]
    assert claims
    assert all(claim["name"] in done.stdout for claim in claims)
    assert all(claim["holds"] for claim in claims if claim["name"].startswith("check"))
