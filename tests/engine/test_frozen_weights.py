import json
import shutil
from pathlib import Path

import pytest
import torch
from adversaries import AdversaryTask, fit_adversaries
from safetensors.torch import load_file, save_file
from tiny import TinySamples, TinyTask, fit, stop_after

from scanweave.engine.checkpoint import Checkpoints, read_state, read_tensors
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError


def stopped(folder: Path) -> None:
    """Leave a run of six of twelve steps whose first layer is frozen."""
    with pytest.raises(SystemExit):
        fit(folder, frozen(stop_after(6)))


def frozen(task: TinyTask) -> TinyTask:
    task.network[0].requires_grad_(False)
    return task


def others() -> TinyTask:
    """Return the task with other weights at its start, the frozen ones too."""
    task = frozen(TinyTask(seed=9))
    task.samples = TinySamples(0)
    return task


def test_what_is_frozen_lies_in_the_run_once_and_what_a_hook_moves_in_each_checkpoint(tmp_path: Path) -> None:
    task = AdversaryTask()
    start = {name: weight.clone() for name, weight in task.network.encoder.state_dict(prefix="encoder.").items()}
    run = fit_adversaries(tmp_path, task)
    for path in [*run.checkpoints.glob("step-*"), *run.checkpoints.glob("best-*")]:
        names = {name for group in read_tensors(path).values() for name in group}
        assert not any("encoder" in name for name in names)
        assert "teacher.weight" in names
    kept = load_file(run.checkpoints / "start.safetensors")
    exported = load_file(run.weights)
    for name, weight in start.items():
        assert torch.equal(kept[f"network.{name}"], weight)
        assert torch.equal(exported[name], weight)
    assert exported.keys() == task.network.state_dict().keys()


def test_frozen_weights_come_from_the_run_and_not_from_what_it_is_continued_with(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", frozen(TinyTask()))
    stopped(tmp_path / "parts")
    parts = fit(tmp_path / "parts", others())
    assert whole.weights.read_bytes() == parts.weights.read_bytes()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"gone")])
def test_a_lost_start_file_is_made_up_by_the_same_weights_or_named(tmp_path: Path, spoil: object) -> None:
    whole = fit(tmp_path / "whole", frozen(TinyTask()))
    stopped(tmp_path / "parts")
    spoil(tmp_path / "parts" / "checkpoints" / "start.safetensors")  # type: ignore[operator]
    with pytest.raises(ScanweaveError, match=r"start\.safetensors: is absent or damaged: network\.0\.\w+, which"):
        fit(tmp_path / "parts", others())
    parts = fit(tmp_path / "parts", frozen(TinyTask()))
    assert whole.weights.read_bytes() == parts.weights.read_bytes()


def test_a_start_file_of_other_weights_is_not_taken(tmp_path: Path) -> None:
    stopped(tmp_path)
    path = tmp_path / "checkpoints" / "start.safetensors"
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    with pytest.raises(ScanweaveError, match="is absent or damaged"):
        fit(tmp_path, others())


def test_a_run_of_0_1_0_with_whole_checkpoints_goes_on(tmp_path: Path) -> None:
    """Made as 0.1.0 made it: nothing left out, and none of the fields that came later."""
    whole = fit(tmp_path / "whole", frozen(TinyTask()))
    stopped(tmp_path / "old")
    start = load_file(tmp_path / "old" / "checkpoints" / "start.safetensors")
    _make_whole(tmp_path / "old", {name.removeprefix("network."): value for name, value in start.items()})
    with Run.start(tmp_path / "old", "tiny", Run.open(tmp_path / "old").config) as run:
        assert "momentum" not in run.config["training"]
    old = fit(tmp_path / "old", others())
    assert whole.weights.read_bytes() == old.weights.read_bytes()


def _make_whole(folder: Path, start: dict[str, torch.Tensor]) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["training"] = {name: v for name, v in config["training"].items() if name not in TrainingSettings.later}
    (folder / "config.json").write_text(json.dumps(config))
    store = Checkpoints(folder / "checkpoints", print)
    for path in sorted(store.folder.glob("step-*")):
        state, groups = read_state(path), read_tensors(path)
        state.frozen = {}
        shutil.rmtree(path)
        store.save(state, {**groups, "network": {**groups["network"], **start}, "ema": {**groups["ema"], **start}})
    (store.folder / "start.safetensors").unlink()
