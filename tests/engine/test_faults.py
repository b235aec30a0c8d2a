import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tiny import Clock, TinyTask, fit, stop_after

from scanweave.engine import interrupt, loop
from scanweave.engine.checkpoint import Checkpoints, State, Tensors, read_state
from scanweave.engine.interrupt import StopRequest
from scanweave.engine.loop import check_device
from scanweave.engine.run import Run, kept_steps
from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_raises_is_named(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ScanweaveError, match=r"case-2 \(sample 9\): cannot be read \(ValueError: the header lies\)"):
        fit(tmp_path, TinyTask(faults={9: "raise"}), workers=workers)


def test_a_batch_that_cannot_be_joined_names_its_cases(tmp_path: Path) -> None:
    task = TinyTask()
    task.collate = lambda samples: {"image": torch.stack([])}  # type: ignore[method-assign]
    with pytest.raises(ScanweaveError, match="case-0, case-1: cannot be read"):
        fit(tmp_path, task)


@pytest.mark.parametrize(
    ("fault", "patience", "reason"),
    [
        ("kill", 600.0, "process died"),
        ("exit", 600.0, "process died"),
        ("hang", 5.0, "hung for more than 5 s"),  # a healthy reader needs milliseconds, on a busy machine too
    ],
)
def test_a_reader_that_dies_or_hangs_names_its_case(tmp_path: Path, fault: str, patience: float, reason: str) -> None:
    with pytest.raises(ScanweaveError, match=r"case-2 \(sample 9\): .*" + re.escape(reason)):
        fit(tmp_path, TinyTask(faults={9: fault}), workers=1, worker_timeout=patience, ema_decay=None)
    assert Run.open(tmp_path).state == "stopped"


def test_a_broken_case_is_skipped_and_named(tmp_path: Path) -> None:
    run = fit(tmp_path, TinyTask(faults={3: "nan", 12: "wild"}))
    skipped = [row for row in run.metrics() if "skipped" in row]
    assert skipped == [
        {"step": 2, "split": "train", "skipped": "loss", "cases": ["case-3"]},
        {"step": 7, "split": "train", "skipped": "gradient", "cases": ["case-5", "case-6"]},
    ]
    assert run.record["skipped"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in load_file(run.weights).values())


def test_training_gives_up_on_a_loss_that_stays_not_finite(tmp_path: Path) -> None:
    task = TinyTask(faults=dict.fromkeys(range(6, 40), "nan"))
    with pytest.raises(ScanweaveError, match="step 6: loss not finite in 3 steps in a row, cases case-0, case-1"):
        fit(tmp_path, task, nonfinite_limit=3)
    kept = load_file(tmp_path / "checkpoints" / "step-00000003" / "network.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in kept.values())


def test_a_device_without_memory_is_one_line_and_leaves_its_checkpoints(tmp_path: Path) -> None:
    task = TinyTask()
    forward, calls = task.objective.forward, iter(range(9))

    def full(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if next(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(batch)

    task.objective.forward = full  # type: ignore[method-assign]
    with pytest.raises(ScanweaveError, match=r"cpu: .*memory.*training\.batch_size.*training\.accumulate"):
        fit(tmp_path, task, device="cpu")
    assert Run.open(tmp_path).state == "stopped"
    assert (tmp_path / "checkpoints" / "step-00000003").is_dir()


def test_a_metric_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    task = TinyTask()
    task.series = [float("nan"), 0.5, float("-inf")]
    run = fit(tmp_path, task)
    assert (run.record["weights"], run.record["step"]) == ("best", 8)
    assert [row["error"] for row in run.metrics() if row["split"] == "validation"] == [None, 0.5, None]


def test_patience_ends_the_training_and_exports_the_best(tmp_path: Path) -> None:
    task = TinyTask()
    task.series = [0.5, 0.6, 0.7, 0.1]
    run = fit(tmp_path, task, patience=2, steps=40)
    assert (run.record["steps"], run.record["step"]) == (12, 4)


@pytest.mark.parametrize(("ema_decay", "source"), [(0.9, "ema"), (None, "last")])
def test_without_validation_the_average_or_the_last_weights_are_exported(
    tmp_path: Path, ema_decay: float | None, source: str
) -> None:
    task = TinyTask()
    task.validate = lambda network: None  # type: ignore[method-assign]
    run = fit(tmp_path, task, ema_decay=ema_decay)
    assert run.record["weights"] == source
    name = "ema" if source == "ema" else "network"
    expected = load_file(tmp_path / "checkpoints" / "step-00000012" / f"{name}.safetensors")
    exported = load_file(run.weights)
    assert all(torch.equal(exported[key], expected[key]) for key in expected)


def test_devices_and_precisions_that_are_not_there_are_named(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ScanweaveError, match=r"no cuda device is available here, only .*cpu\. Use --device auto"):
            fit(tmp_path / "device", device="cuda")
    with pytest.raises(ScanweaveError, match=r"device: there is no 'gpu'\. .*auto"):
        check_device("gpu")
    with pytest.raises(ScanweaveError, match="precision: fp16"):
        fit(tmp_path / "precision", device="cpu", precision="fp16")
    assert not list(tmp_path.iterdir())
    fit(tmp_path / "bf16", device="cpu", precision="bf16", steps=2)


def test_fp16_settles_its_scale_without_blaming_cases_and_resumes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for a GPU: accelerate offers fp16 on none of the devices of a test machine."""
    plain = loop.open_accelerator

    def open_accelerator(settings: TrainingSettings) -> Accelerator:
        accelerator = plain(settings)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120, growth_interval=4)
        accelerator.native_amp = True
        accelerator.state._mixed_precision = "fp16"
        return accelerator

    monkeypatch.setattr(loop, "open_accelerator", open_accelerator)
    whole = fit(tmp_path / "whole", TinyTask(faults={45: "nan"}), steps=30, nonfinite_limit=3, ema_decay=None)
    with pytest.raises(SystemExit):
        fit(tmp_path / "parts", stop_after(25, {45: "nan"}), steps=30, nonfinite_limit=3, ema_decay=None)
    parts = fit(tmp_path / "parts", TinyTask(faults={45: "nan"}), steps=30, nonfinite_limit=3, ema_decay=None)
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    assert [row["cases"] for row in whole.metrics() if "skipped" in row] == [["case-3"]]
    scale = read_state(parts.checkpoints / "step-00000030").scaler["scale"]
    assert scale < 2.0**120


def test_what_was_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest() as request:
            signal.raise_signal(signal.SIGINT)
            assert request.signal is None
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(interrupt, "time", clock)
    return clock


def test_a_ctrl_c_some_time_after_the_first_is_not_swallowed(clock: Clock) -> None:
    with StopRequest() as request:
        signal.raise_signal(signal.SIGINT)
        assert request.signal == signal.SIGINT
        clock.now += interrupt.SAME_WISH_SECONDS + 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_signals_close_together_are_one_wish(clock: Clock, second: signal.Signals) -> None:
    with StopRequest() as request:
        signal.raise_signal(signal.SIGTERM)
        clock.now += interrupt.SAME_WISH_SECONDS - 1
        signal.raise_signal(second)
        assert request.signal == signal.SIGTERM


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_no_signal_ends_the_writing_of_the_last_checkpoint(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    save = Checkpoints.save

    def disturbed(checkpoints: Checkpoints, state: State, tensors: Tensors) -> None:
        if state.step:
            clock.now += 60
            signal.raise_signal(second)
        save(checkpoints, state, tensors)

    monkeypatch.setattr(Checkpoints, "save", disturbed)
    with pytest.raises(SystemExit):
        fit(tmp_path, stop_after(2))
    assert max(kept_steps(tmp_path / "checkpoints")) == 3  # the step after the one in which the stop was asked for


def test_a_signal_to_the_whole_process_group_leaves_a_checkpoint(tmp_path: Path) -> None:
    """As `timeout` sends it: readers that died of it would take the step at hand with them."""

    def work() -> None:
        os.setpgid(0, 0)
        task = TinyTask()
        read, calls = task.collate, iter(range(1, 100))

        def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
            if next(calls) == 5:
                os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)
            return read(samples)

        task.collate = collate  # type: ignore[method-assign]
        fit(tmp_path, task, workers=1, steps=50, checkpoint_every=50, validate_every=50)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 128 + signal.SIGTERM
    assert max(kept_steps(tmp_path / "checkpoints")) > 0
