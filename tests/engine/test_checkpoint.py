import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from tiny import fit

from scanweave import files
from scanweave.engine import checkpoint as module
from scanweave.engine.checkpoint import Checkpoints, State, damage, read_state, read_tensors
from scanweave.errors import ScanweaveError


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"network": {"weight": torch.full((50,), value)}, "optimizer": {"weight:step": torch.tensor(value)}}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Checkpoints:
    store = Checkpoints(tmp_path / "checkpoints", said.append)
    for step in (10, 20):
        store.save(State(step=step), tensors(step))
    return store


def newest_step(store: Checkpoints) -> int:
    path = store.newest_valid()
    assert path is not None
    state = read_state(path)
    assert read_tensors(path)["network"]["weight"].tolist() == [state.step] * 50
    return state.step


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [truncate, flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["network.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    store: Checkpoints, said: list[str], name: str, spoil: Callable[[Path], Any]
) -> None:
    spoil(store.path("step", 20) / name)
    assert newest_step(store) == 10
    assert "step-00000020" in said[0]
    assert name in said[0]


def test_a_changed_number_in_the_state_is_noticed(store: Checkpoints) -> None:
    state = store.path("step", 20) / "state.json"
    state.write_text(state.read_text().replace('"step": 20', '"step": 21'))
    assert newest_step(store) == 10


@pytest.mark.parametrize(("field", "value"), [("format", 2), ("momentum", 0.9)])
def test_a_checkpoint_of_another_version_is_refused_and_stays(store: Checkpoints, field: str, value: object) -> None:
    path = store.path("step", 20)
    content = json.loads((path / "state.json").read_text())["content"] | {field: value}
    (path / "state.json").write_text(json.dumps({"content": content, "sha256": module._digest(content)}))
    assert store.newest_valid() == path
    with pytest.raises(ScanweaveError, match=r"step-00000020: was written by another version .*Use the scanweave that"):
        read_state(path)


def test_all_damaged_is_an_error_and_none_is_not(store: Checkpoints, tmp_path: Path) -> None:
    for step in (10, 20):
        truncate(store.path("step", step) / "network.safetensors")
    with pytest.raises(ScanweaveError, match="every checkpoint is damaged"):
        store.newest_valid()
    assert Checkpoints(tmp_path / "empty", print).newest_valid() is None


def test_what_a_kill_left_half_written_is_ignored_and_removed(store: Checkpoints) -> None:
    partial = store.folder / ".partial-abc"
    partial.mkdir()
    (partial / "network.safetensors").write_bytes(b"half")
    newest = store.newest_valid()
    assert newest == store.path("step", 20)
    store.tidy(newest)
    assert not partial.exists()


def test_two_generations_and_the_best_that_they_name_are_kept(store: Checkpoints) -> None:
    for step, best in ((30, 25), (40, 25), (50, 45)):
        state = State(step=best, best_step=best)
        store.save_best(state, tensors(best))
        store.save(State(step=step, best_step=best), tensors(step))
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "best-00000025",
        "best-00000045",
        "step-00000040",
        "step-00000050",
    ]


class Saboteur:
    """Fails the call of number `fatal` among the calls that a checkpoint makes to the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fatal: int, fail: Callable[[str], None]) -> None:
        self.calls = 0
        self.fatal, self.fail = fatal, fail
        for owner, name in (
            (module, "save_file"),
            (files.tempfile, "mkdtemp"),
            (Path, "write_text"),
            (Path, "open"),
            (files.os, "fsync"),
            (Path, "chmod"),
            (Path, "rename"),
            (shutil, "rmtree"),
        ):
            monkeypatch.setattr(owner, name, self._wrap(name, getattr(owner, name)))

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.fatal:
                self.fail(name)
            return original(*args, **options)

        return wrapped


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_at_any_write_leaves_a_whole_checkpoint(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(name: str) -> None:
        if name == "save_file":
            raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
        raise OSError(number, os.strerror(number))

    step, fatal = 30, 1
    refusals: list[str] = []
    while True:
        with monkeypatch.context() as patch:
            saboteur = Saboteur(patch, fatal, fail)
            try:
                store.save(State(step=step), tensors(step))
            except ScanweaveError as error:
                refusals.append(str(error))
        assert newest_step(store) in (step - 10, step)
        if saboteur.calls < fatal:
            break
        step, fatal = newest_step(store) + 10, fatal + 1
    assert len(refusals) >= 12
    assert all(os.strerror(number) in refusal for refusal in refusals)


def test_a_kill_at_any_write_leaves_a_whole_checkpoint(store: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    step, fatal = 30, 1
    while True:
        child = os.fork()
        if child == 0:
            Saboteur(monkeypatch, fatal, lambda _: os._exit(9))
            store.save(State(step=step), tensors(step))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        newest = store.newest_valid()
        store.tidy(newest)
        assert newest_step(store) in (step - 10, step)
        if status == 0:
            break
        step, fatal = newest_step(store) + 10, fatal + 1
    assert fatal > 15


def test_a_file_size_limit_stops_the_training_with_one_line(tmp_path: Path) -> None:
    import resource

    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
        try:
            Checkpoints(tmp_path, print).save(State(step=1), tensors(1.0) | {"ema": {"w": torch.zeros(5000)}})
        except ScanweaveError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert list(tmp_path.iterdir()) == []


def test_training_falls_back_and_ends_bit_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = fit(tmp_path / "whole")
    spoilt = fit(tmp_path / "spoilt")
    spoilt.weights.unlink()
    flip(spoilt.checkpoints / "step-00000012" / "optimizer.safetensors")
    again = fit(tmp_path / "spoilt")
    out = capsys.readouterr().out
    assert "step-00000012 is damaged (optimizer.safetensors: checksum differs)" in out
    assert "Continuing from step 9" in out
    assert again.weights.read_bytes() == whole.weights.read_bytes()
    assert damage(again.checkpoints / "step-00000012") is None
