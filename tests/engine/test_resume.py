import json
import multiprocessing
import os
import re
import signal
import sys
import time
from itertools import count, pairwise
from multiprocessing.synchronize import Event
from pathlib import Path
from subprocess import run as run_process
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import TinyTask, fit, stop_after

from scanweave.engine.loop import open_accelerator
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError

FORK = multiprocessing.get_context("fork")
READ_ON = 4
"""Batches that a training to be killed may read on: with the one it waits for at most 16 of its 60."""
PATIENCE = 600
"""How long a test waits for another process before it fails [s]."""
SAME_WEIGHT = 1e-9
"""Largest difference of weights that are learnt in float64 from batches added in another order.

It is 1e-16 here, and Adam may enlarge rounding; a batch of another size changes weights by 0.02.
"""


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.weights)


def largest_difference(first: Run, second: Run) -> float:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def halting_task(begun: Event, batch: int) -> TinyTask:
    """Return a task that tells when it reads a batch and stops a few later, so that it cannot end before it is killed.

    Nothing in it waits for a clock: the machine may be as slow as it likes.
    """
    task = TinyTask()
    read, calls, parent = task.collate, count(1), [0]

    def collate(samples: list[dict[str, object]]) -> dict[str, object]:
        call = next(calls)
        if call == batch:
            parent[0] = os.getppid()  # this is a reading process, which must not outlive the training
            begun.set()
        while call >= batch + READ_ON and os.getppid() == parent[0]:
            time.sleep(0.05)
        return read(samples)

    task.collate = collate  # type: ignore[method-assign]
    return task


def without_times(run: Run) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "samples_per_second"} for row in run.metrics()]


def test_a_training_goes_on_on_another_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same one by two names here, and one that earlier steps are said to come from."""
    whole = fit(tmp_path / "whole")
    with pytest.raises(SystemExit):
        fit(tmp_path / "parts", stop_after(5), device="auto" if not torch.cuda.is_available() else "cpu")
    record = tmp_path / "parts" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"device": "cuda:0"}))
    capsys.readouterr()
    parts = fit(tmp_path / "parts")
    assert "on cpu; those before were made on cuda:0, so bit-equality ends here" in capsys.readouterr().out
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert parts.record["device"] == "cpu"


@pytest.mark.parametrize("changes", [{}, {"ema_decay": None, "accumulate": 2, "clip_norm": 0.1}, {"patience": 1}])
def test_a_stopped_training_continues_bit_by_bit(tmp_path: Path, changes: dict[str, object]) -> None:
    whole = fit(tmp_path / "whole", **changes)
    with pytest.raises(SystemExit) as stop:
        fit(tmp_path / "parts", stop_after(5), **changes)
    assert stop.value.code == 128 + signal.SIGTERM
    assert Run.open(tmp_path / "parts").state == "stopped"
    parts = fit(tmp_path / "parts", **changes)
    assert parts.state == "finished"
    assert largest_difference(whole, parts) == 0
    assert without_times(whole) == without_times(parts)


def test_kills_at_any_moment_leave_no_trace_in_the_weights(tmp_path: Path) -> None:
    changes = {"workers": 1, "accumulate": 2, "patience": 3, "steps": 30, "checkpoint_every": 2}
    whole = fit(tmp_path / "whole", **changes)
    draw = np.random.default_rng(7)
    for _ in range(3):
        begun = FORK.Event()
        task = halting_task(begun, int(draw.integers(1, 13)))
        child = FORK.Process(target=fit, args=(tmp_path / "killed", task), kwargs=changes)
        child.start()
        assert begun.wait(PATIENCE)
        time.sleep(draw.uniform(0, 0.3))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    killed = fit(tmp_path / "killed", **changes)
    assert largest_difference(whole, killed) == 0
    assert without_times(whole) == without_times(killed)
    assert not list((tmp_path / "killed").rglob(".partial-*"))


def test_metrics_hold_each_step_once(tmp_path: Path) -> None:
    run = fit(tmp_path, steps=9)
    (tmp_path / "weights.safetensors").unlink()
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 11, "split": "train", "loss": 1.0}\n{"step": 12, "spl')
    run = fit(tmp_path, steps=9)
    steps = [row["step"] for row in run.metrics() if row["split"] == "train"]
    assert all(before < after for before, after in pairwise(steps))
    assert max(steps) == 8


def test_a_finished_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, steps=1)
    before = (tmp_path / "run.json").read_bytes()
    capsys.readouterr()
    fit(tmp_path, steps=1)
    assert "is finished" in capsys.readouterr().out
    assert (tmp_path / "run.json").read_bytes() == before


def test_accumulation_and_a_larger_batch_learn_the_same(tmp_path: Path) -> None:
    doubled = fit(tmp_path / "doubled", TinyTask(plain=True), batch_size=4)
    twice = fit(tmp_path / "twice", TinyTask(plain=True), accumulate=2)
    assert largest_difference(doubled, twice) <= SAME_WEIGHT


def in_two_processes(*words: str) -> str:
    """Return what torchrun prints that starts a script, or a command, twice."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = run_process(launch, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


PAIR = f"""
import runpy, sys, torch
from scanweave.engine.loop import open_accelerator
from scanweave.engine.settings import TrainingSettings
settings = TrainingSettings(device={"cpu" if torch.cuda.is_available() else "auto"!r})
with open_accelerator(settings).main_process_first():
    pass
accelerator = open_accelerator(settings)
hours = torch.distributed.group.WORLD._get_backend(torch.device("cpu")).options._timeout.total_seconds() / 3600
if accelerator.is_main_process:
    print("found", accelerator.num_processes, hours)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
with open_accelerator(settings).main_process_first():
    print("one after the other")
"""
"""What each of two processes does: open the accelerator twice, train the tiny task, and wait for the other again."""


def test_two_processes_find_each_other_wait_hours_and_learn_as_a_larger_batch(tmp_path: Path) -> None:
    doubled = fit(tmp_path / "doubled", TinyTask(plain=True), batch_size=4)
    script = tmp_path / "pair.py"
    script.write_text(PAIR)
    tiny = Path(__file__).with_name("tiny.py")
    told = in_two_processes(str(script), str(tiny), str(tmp_path / "pair"), json.dumps({"plain": True}))
    ((processes, hours),) = re.findall(r"found (\d+) (\S+)", told)
    assert int(processes) == 2
    assert float(hours) >= 12
    assert len(re.findall("Finished", told)) == 1
    assert told.count("one after the other") == 2
    pair = Run.open(tmp_path / "pair")
    assert pair.record["processes"] == 2
    assert largest_difference(doubled, pair) <= SAME_WEIGHT
    assert [row["step"] for row in pair.metrics()] == [row["step"] for row in doubled.metrics()]


def test_a_device_that_processes_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(
        "scanweave.engine.loop.Accelerator",
        lambda **_: SimpleNamespace(num_processes=1, device=torch.device("mps"), native_amp=True),
    )
    with pytest.raises(ScanweaveError, match="device: mps cannot be shared by the processes of torchrun"):
        open_accelerator(TrainingSettings())


def test_a_fit_gives_signs_of_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(tmp_path, steps=8, log_every=50, warm_up=4)
    told = capsys.readouterr().out
    assert "warm-up: 2 steps, not 4, since it takes at most a quarter of the schedule of 8" in told
    assert "step 1/8 · loss" in told
    assert told.index("step 4/8 · validating …") < told.index("step 4 validation · error")
    assert told.count("validating …") == 1
    assert [row["step"] for row in run.metrics() if row["split"] == "train"] == [1]


def test_where_nobody_validates_no_validation_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = TinyTask()
    task.validates = False
    task.validate = None  # type: ignore[assignment, method-assign]
    run = fit(tmp_path, task, steps=8)
    assert "validating" not in capsys.readouterr().out
    assert run.record["weights"] == "ema"
