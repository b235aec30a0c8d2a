import json
import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import BASE, TinyTask, in_two_forks

from scanweave.engine import loop
from scanweave.engine.checkpoint import write_weights
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.stages import Stage, StageRun, train_stages
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError

FORK = multiprocessing.get_context("fork")


def settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings(**{**BASE, "checkpoint_every": 2, **changes})


def stages(pause: float = 0.0, stop_in: str = "") -> list[Stage]:
    """Three stages of one network, each begun from the weights of the one before, the second of its own recipe."""

    def make(stage: StageRun) -> TinyTask:
        task = TinyTask(len(stage.earlier))
        for weights in stage.earlier.values():
            with_weights(task.network, weights)
        read, calls = task.collate, iter(range(10**6))

        def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
            time.sleep(pause)
            if stage.stage == stop_in and next(calls) == 4:
                signal.raise_signal(signal.SIGTERM)
            return read(samples)

        task.collate = collate  # type: ignore[method-assign]
        return task

    sgd = settings(optimizer="sgd", ema_decay=None, steps=9, learning_rate=1e-3)
    return [Stage("first", settings(), make), Stage("second", sgd, make), Stage("third", settings(steps=7), make)]


def fit_stages(folder: Path, **options: Any) -> Run:
    with Run.start(folder, "tiny", {"stages": 3}) as run:
        train_stages(stages(**options), run)
    return Run.open(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return fit_stages(tmp_path_factory.mktemp("whole"))


def rows(run: Run) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "samples_per_second"} for row in run.metrics()]


def same(one: Run, other: Run) -> bool:
    files = ["stages/first.safetensors", "stages/second.safetensors", "weights.safetensors"]
    return all((one.folder / file).read_bytes() == (other.folder / file).read_bytes() for file in files)


def test_a_run_of_stages_shows_each(whole: Run) -> None:
    assert whole.finished
    assert {path.name for path in whole.checkpoints.iterdir()} == {"first", "second", "third"}
    assert (whole.checkpoints / "second" / "step-00000009").is_dir()
    record = whole.record
    assert [(name, about["state"], about["steps"]) for name, about in record["stages"].items()] == [
        ("first", "finished", 12),
        ("second", "finished", 9),
        ("third", "finished", 7),
    ]
    assert (record["state"], record["steps"]) == ("finished", 7)
    steps = {name: [r["step"] for r in whole.metrics() if r["stage"] == name] for name in record["stages"]}
    assert [max(found) for found in steps.values()] == [12, 9, 7]
    assert sorted(path.name for path in (whole.folder / "tensorboard").iterdir()) == ["first", "second", "third"]


def test_weights_are_handed_on(whole: Run, tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    def make(stage: StageRun) -> TinyTask:
        given.update(stage.earlier)
        return TinyTask()

    with Run.start(tmp_path, "tiny", {}) as run:
        train_stages([Stage("one", settings(steps=1), make), Stage("two", settings(steps=1), make)], run)
    assert given == {"one": tmp_path / "stages" / "one.safetensors"}
    assert load_file(given["one"]).keys() == load_file(run.weights).keys()


@pytest.mark.parametrize("stage", ["first", "second", "third"])
def test_a_run_stopped_in_any_stage_goes_on_bit_by_bit(whole: Run, tmp_path: Path, stage: str) -> None:
    with pytest.raises(SystemExit):
        fit_stages(tmp_path, stop_in=stage)
    stopped = Run.open(tmp_path)
    assert (stopped.state, stopped.record["stage"]) == ("stopped", stage)
    with pytest.raises(ScanweaveError, match=f"is not finished: stage {stage}, step 5 of "):
        stopped.fitted()
    parts = fit_stages(tmp_path)
    assert same(whole, parts)
    assert rows(whole) == rows(parts)


def test_a_stop_while_a_finished_stage_is_written_begins_no_other(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(path: Path, weights: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGTERM)
        write_weights(path, weights, about)

    monkeypatch.setattr(loop, "write_weights", disturbed)
    with pytest.raises(SystemExit) as end:
        fit_stages(tmp_path)
    monkeypatch.undo()
    assert end.value.code == 128 + signal.SIGTERM
    stopped = Run.open(tmp_path)
    assert (stopped.state, {name: about["state"] for name, about in stopped.record["stages"].items()}) == (
        "stopped",
        {"first": "finished"},
    )
    assert same(whole, fit_stages(tmp_path))


def test_kills_at_any_moment_leave_no_trace_in_any_stage(whole: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(11)
    for _ in range(4):
        child = FORK.Process(target=fit_stages, args=(tmp_path,), kwargs={"pause": 0.03})
        child.start()
        time.sleep(draw.uniform(0.2, 0.8))
        child.kill()
        child.join()
    killed = fit_stages(tmp_path)
    assert same(whole, killed)
    assert rows(whole) == rows(killed)
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_finished_run_of_stages_says_so_and_makes_no_task(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (whole.folder / "run.json").read_bytes()
    with Run.start(whole.folder, "tiny", {"stages": 3}) as run:
        train_stages([Stage("first", settings(), lambda stage: pytest.fail("a task was made"))], run)
    assert "is finished" in capsys.readouterr().out
    assert (whole.folder / "run.json").read_bytes() == before


def test_a_kill_after_the_last_stage_and_before_the_end_is_made_up(whole: Run, tmp_path: Path) -> None:
    run = fit_stages(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "state": "running"}))
    again = fit_stages(tmp_path)
    assert again.finished
    assert same(run, again)


def fit_plain(folder: Path, chosen: TrainingSettings) -> Run:
    """Two stages without batch statistics, so that the samples may be shared out."""

    def make(stage: StageRun) -> TinyTask:
        task = TinyTask(plain=True)
        for weights in stage.earlier.values():
            with_weights(task.network, weights)
        return task

    with Run.start(folder, "tiny", {}) as run:
        train_stages([Stage("first", chosen, make), Stage("second", chosen, make)], run)
    return Run.open(folder)


def test_two_processes_go_through_the_stages_together(tmp_path: Path) -> None:
    doubled = load_file(fit_plain(tmp_path / "doubled", settings(steps=4, batch_size=4)).weights)
    in_two_forks(fit_plain, tmp_path / "pair", settings(steps=4))
    weights = tmp_path / "pair" / "weights.safetensors"
    first = weights.read_bytes()
    for name, value in load_file(weights).items():
        torch.testing.assert_close(value, doubled[name], rtol=0, atol=1e-5)
    weights.unlink()  # the first stage is finished then, which the first process alone can read
    in_two_forks(fit_plain, tmp_path / "pair", settings(steps=4))
    assert weights.read_bytes() == first


@pytest.mark.parametrize("names", [[], ["a", "a"], ["step/1"], ["A"]])
def test_names_of_stages_are_checked(tmp_path: Path, names: list[str]) -> None:
    with Run.start(tmp_path, "tiny", {}) as run, pytest.raises(ValueError, match="stage"):
        train_stages([Stage(name, settings(), lambda stage: TinyTask()) for name in names], run)
