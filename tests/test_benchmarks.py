"""The smoke tier of every benchmark runs to its table: mechanics only, no figure is judged."""

from __future__ import annotations

import json
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
    "bids_examples",
    "manifest_scale",
    "seq2seq_throughput",
    "seq2seq_truth",
    "simulate_speed",
    "statistics_calibration",
    "ultra",
    "verb_start",
]
REAL = ["ct_real", "prepare", "segment", "seq2seq_real"]
"""Those that need the real scans."""


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
