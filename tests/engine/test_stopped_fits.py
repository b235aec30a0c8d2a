"""A fit that was stopped can be used as it is, and ended sooner or later than was planned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import fit, stop_after

from scanweave.engine.checkpoint_weights import at_checkpoint
from scanweave.engine.run import Run, kept_steps
from scanweave.errors import ScanweaveError


def stopped(folder: Path, step: int = 6, **changes: object) -> Run:
    """Fit, and stop after a step."""
    with pytest.raises(SystemExit):
        fit(folder, stop_after(step), **changes)
    return Run.open(folder)


@pytest.mark.parametrize("ema", [0.9, None])
def test_the_newest_weights_are_those_of_the_last_checkpoint(tmp_path: Path, ema: float | None) -> None:
    run = stopped(tmp_path / "run", ema_decay=ema)
    with pytest.raises(ScanweaveError, match="--checkpoint newest or best"):
        run.fitted()
    found = at_checkpoint(run, "newest")
    last = run.checkpoints / f"step-{max(kept_steps(run.checkpoints)):08d}"
    kept = load_file(last / f"{'ema' if ema else 'network'}.safetensors")
    made = load_file(found.fitted().weights)
    assert made.keys() == load_file(last / "network.safetensors").keys()
    assert all(torch.equal(made[name], value) for name, value in kept.items())
    assert not run.weights.exists()


def test_the_best_weights_are_those_that_a_finished_fit_would_export(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", validate_every=2)
    best = load_file(at_checkpoint(run, "best").weights)
    steps = {int(path.name[-8:]) for path in run.checkpoints.glob("best-*")}
    kept = [load_file(run.checkpoints / f"best-{step:08d}" / "network.safetensors") for step in steps]
    assert any(all(torch.equal(best[name], value) for name, value in one.items()) for one in kept)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with Run.start(tmp_path / "new", "tiny", {}) as run, pytest.raises(ScanweaveError, match="no checkpoint yet"):
        at_checkpoint(run, "newest")
    run = stopped(tmp_path / "run", step=2)
    with pytest.raises(ScanweaveError, match=r"was not validated yet\. Use --checkpoint newest"):
        at_checkpoint(run, "best")
    with pytest.raises(ScanweaveError, match="there is no 'last'"):
        at_checkpoint(run, "last")  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [8, 20, 1])
def test_a_stopped_fit_may_end_sooner_or_later(tmp_path: Path, steps: int) -> None:
    last = max(kept_steps(stopped(tmp_path / "run").checkpoints))
    run = fit(tmp_path / "run", steps=steps)
    assert run.state == "finished"
    assert run.record["steps"] == max(steps, last)
    assert run.record["steps_before"] == [12]
    assert run.config["training"]["steps"] == steps
    assert run.weights.is_file()


def test_steps_may_change_more_than_once(tmp_path: Path) -> None:
    stopped(tmp_path / "run", step=3)
    with pytest.raises(SystemExit):
        fit(tmp_path / "run", stop_after(3), steps=30)
    run = fit(tmp_path / "run", steps=9)
    assert run.record["steps"] == 9
    assert run.record["steps_before"] == [12, 30]


def test_another_setting_may_not_change_with_them(tmp_path: Path) -> None:
    stopped(tmp_path / "run")
    with pytest.raises(ScanweaveError, match=r"learning_rate was 0\.01, now 0\.02"):
        fit(tmp_path / "run", steps=20, learning_rate=0.02)


def test_a_finished_training_keeps_its_length(tmp_path: Path) -> None:
    fit(tmp_path / "run", steps=4)
    with pytest.raises(ScanweaveError, match="this training is finished"):
        fit(tmp_path / "run", steps=8)
