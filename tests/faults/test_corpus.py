"""Every malformed input is told in one line or repaired in words: no traceback, no flood, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORPORA = (
    *("corpus_nifti", "corpus_headers", "corpus_values", "corpus_bytes", "corpus_manifests", "corpus_runs"),
    "corpus_sinograms",
)
BUDGET = 256 * 2**20


@pytest.fixture(scope="module")
def outcomes() -> list[dict]:
    """Return what came of every fault, from one process that meets them all under a limit of memory."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2); import runpy, sys; "
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]; sys.argv = ['runner', *{CORPORA!r}]; "
        f"runpy.run_path({str(HERE / 'runner.py')!r}, run_name='__main__')"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SCANWEAVE_MEMORY_BUDGET": str(BUDGET)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=800, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_corpus_is_large_and_varied(outcomes):
    faults = outcomes[1:]
    told = [f for f in faults if f["result"] in ("error", "repair")]
    assert len(told) >= 100
    assert len({f["kind"] for f in told}) >= 20


def test_every_fault_ends_as_expected(outcomes):
    wrong = [
        f"{f['kind']} {f['name']}: {f['result']} {f['told'][-500:]}"
        for f in outcomes[1:]
        if f["result"] != f["expected"] and not (f["expected"] == "any" and f["result"] in ("error", "repair", "ok"))
    ]
    assert not wrong, "\n".join(wrong)


def test_most_damaged_headers_are_told(outcomes):
    """Chance hits a comment or the last digit of an origin at times; a reader that takes most of it reads nothing."""
    made = [f for f in outcomes[1:] if f["expected"] == "any"]
    told = [f for f in made if f["result"] in ("error", "repair")]
    assert len(made) >= 300
    assert len(told) >= 0.6 * len(made)


def test_every_error_is_one_line_with_place_reason_and_next_step(outcomes):
    for fault in outcomes[1:]:
        if fault["result"] == "error":
            assert "\n" not in fault["told"]
            where, _, rest = fault["told"].partition(": ")
            assert where, fault
            assert rest.count(". ") >= 1, fault
            assert rest.endswith("."), fault


def test_nothing_is_left_half_written(outcomes):
    assert not [f for f in outcomes[1:] if f["partial"]]


def test_memory_and_time_stay_within_their_budget(outcomes):
    base = outcomes[0]["base"]
    worst = max(outcomes[1:], key=lambda f: f["peak"])
    assert worst["peak"] - base < BUDGET, worst
    slow = [f for f in outcomes[1:] if f["seconds"] > 5]  # of processor time: other load on the machine is no fault
    assert not slow, Counter(f["kind"] for f in slow)
