"""Benchmarks: what a job found is kept beside the JSON, and no job is done twice."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import jobs
from jobs import parts_folder, run_jobs

JOBS = [("ct", 0), ("ct", 1), ("MRI 4", 0)]


def job(arm, seed, factor, note):
    """Note who did it; a seed of 9 fails."""
    with Path(note).open("a") as file:
        file.write(f"{arm} {seed} {os.getpid()}\n")
    if seed == 9:
        raise ValueError("seed 9")
    return pd.DataFrame({"arm": [arm], "value": [seed * factor]})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run jobs in a tier; `run.done()` says which were done since."""
    note = tmp_path / "note"
    monkeypatch.setattr(jobs, "one_thread_each", lambda count: _Here())

    def call(tier="study", of=JOBS, factor=2, json="r.json"):
        note.write_text("")
        arguments = Namespace(tier=tier, json=tmp_path / json if json else None)
        return pd.concat(run_jobs(job, of, arguments, factor, str(note)))

    call.done = lambda: [line.rpartition(" ")[0] for line in note.read_text().splitlines()]
    call.folder = parts_folder(tmp_path / "r.json")
    return call


class _Here:
    """A pool that works in this process."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    map = staticmethod(map)


def test_a_job_that_was_done_is_not_done_again(run, capsys):
    first = run()
    assert run.done() == ["ct 0", "ct 1", "MRI 4 0"]
    pd.testing.assert_frame_equal(run(), first)
    assert run.done() == []
    assert "3 of 3 jobs were done before" in capsys.readouterr().out
    assert len(run(of=[*JOBS, ("MRI 4", 1)])) == 4
    assert run.done() == ["MRI 4 1"]


def test_what_was_done_before_a_fault_is_kept(run):
    with pytest.raises(ValueError, match="seed 9"):
        run(of=[("ct", 0), ("ct", 9), ("ct", 1)])
    assert len(list(run.folder.iterdir())) == 1
    run(of=[("ct", 0), ("ct", 1)])
    assert run.done() == ["ct 1"]


@pytest.mark.parametrize("change", ["settings", "code"])
def test_other_settings_or_code_are_another_job(run, monkeypatch, change):
    run()
    if change == "code":
        monkeypatch.setattr(jobs, "code_digest", lambda script: "other")
    run(factor=3 if change == "settings" else 2)
    assert len(run.done()) == 3


@pytest.mark.parametrize("options", [{"tier": "smoke"}, {"json": None}])
def test_smoke_and_runs_without_a_file_keep_nothing(run, options):
    run(**options)
    run(**options)
    assert len(run.done()) == 3
    assert not run.folder.exists()


def test_jobs_run_in_processes_of_their_own(tmp_path):
    arguments = Namespace(tier="proof", json=tmp_path / "r.json")
    table = pd.concat(run_jobs(job, JOBS[:2], arguments, 1, str(tmp_path / "note")))
    assert list(table["value"]) == [0, 1]
    pids = {line.rpartition(" ")[2] for line in (tmp_path / "note").read_text().splitlines()}
    assert str(os.getpid()) not in pids
