"""The training loop, the same for every system.

Everything that a step does follows from the settings, the step's number and the state of the last checkpoint: samples
and dropout are drawn from (seed, index) and (seed, step), the learning rate is computed from the step. So a run that
was killed at any moment continues from its last checkpoint to the same weights, on a CPU bit by bit.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
    broadcast_object_list,
    gather_object,
)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scanweave.engine.checkpoint import START, Checkpoints, State, damage, read_state, read_tensors, write_weights
from scanweave.engine.feed import Batch, Feed
from scanweave.engine.frozen_weights import FrozenWeights
from scanweave.engine.interrupt import StopRequest
from scanweave.engine.progress import TrainingProgress
from scanweave.engine.run import STEPS_BEFORE, Run
from scanweave.engine.schedule import learning_rate
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.snapshot import Snapshot
from scanweave.engine.task import Task
from scanweave.engine.updates import Updater, seed_layers
from scanweave.errors import ScanweaveError
from scanweave.wording import count

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
PATIENCE_HOURS = 12
"""Longest wait of other processes for the first one to prepare, to validate or to write [h]."""
NAMED_CASES = 10
"""Most cases named in an error."""


def train(task: Task, settings: TrainingSettings, run: Run) -> None:
    """Train a task's network into a run folder; continue where an earlier call was stopped or killed.

    Ctrl-C and SIGTERM end the process after the current step and a checkpoint, or after the weights of a training that
    is finished, with the exit status that shells expect (128 + signal). Under torchrun each process computes a share of
    every step.

    Args:
        task: What to learn.
        settings: How; the same as in the run's configuration.
        run: Where to, started by `Run.start`.

    Raises:
        ScanweaveError: A sample cannot be read, the loss stays non-finite, the disk is full, every checkpoint is
            damaged, or the device is not there or too small.
        SystemExit: SIGINT or SIGTERM came.
    """
    progress = TrainingProgress(settings.steps, shown=run.main)
    if run.finished:
        progress.say(f"{run.folder} is finished: its weights are {run.weights.name}")
        return
    if settings.warm_up_steps < settings.warm_up:
        progress.say(
            f"warm-up: {settings.warm_up_steps} steps, not {settings.warm_up}, "
            f"since it takes at most a quarter of the schedule of {settings.schedule_length}"
        )
    if getattr(task, "batch_coupled", False) and settings.accumulate > 1:
        reason = "would change the loss, which compares the samples of a batch with each other"
        raise ScanweaveError("training.accumulate", reason, "Set it to 1, and batch_size as high as memory allows")
    accelerator = open_accelerator(settings)
    progress.say(f"device: {device_words(accelerator.device)}, {settings.precision}")
    with StopRequest() as request, _enough_memory(accelerator.device):
        session = _Session(task, settings, run, progress, accelerator)
        session.resume()
        with progress:
            stopped = session.loop_or_stop(request)
        request.let_write()
        if stopped:
            session.checkpoint()
            progress.say(f"Stopped after step {session.state.step}; the same command continues from there")
            raise SystemExit(128 + (request.signal or signal.SIGTERM))
        session.finish()
        signals = gather_object([request.signal])  # waits for all processes, so that all end or none
    came = next(filter(None, [request.signal, *signals]), None)
    if came is not None:  # else whatever the caller does next, such as another stage, would begin
        raise SystemExit(128 + came)


def open_accelerator(settings: TrainingSettings) -> Accelerator:
    """Return the accelerator for the device and precision of `settings`; joins the processes of torchrun first.

    The first call decides how long the processes wait for each other: call it before anything that one does alone.

    Raises:
        ScanweaveError: The device is not there, cannot compute in the precision, or not in several processes.
    """
    there = check_device(settings.device)
    # accelerate keeps the device and precision of the first accelerator for the life of the process; a second
    # training in the same process may want others.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    try:
        accelerator = Accelerator(
            cpu=settings.device == "cpu" or there == ["cpu"],  # else processes on CPUs would train apart
            mixed_precision=PRECISIONS[settings.precision],
            kwargs_handlers=[
                # A batch may leave parts of the network unused: a head whose label or sequence is absent in it.
                DistributedDataParallelKwargs(find_unused_parameters=True),
                InitProcessGroupKwargs(timeout=timedelta(hours=PATIENCE_HOURS)),
            ],
        )
    except ValueError as error:
        raise ScanweaveError("precision", str(error), "Use --precision fp32 or bf16") from error
    if accelerator.num_processes < int(os.environ.get("WORLD_SIZE", "1")):
        reason = f"{accelerator.device.type} cannot be shared by the processes of torchrun"
        raise ScanweaveError("device", reason, "Start without torchrun, or use --device cpu")
    if settings.precision != "fp32" and not accelerator.native_amp:  # accelerate would train in fp32 without a word.
        reason = f"{settings.precision} cannot be computed on {accelerator.device.type}"
        raise ScanweaveError("precision", reason, "Use --precision fp32 or bf16")
    if accelerator.num_processes > 1:
        atexit.register(_part)  # not sooner: processes that have parted do not find each other again
    return accelerator


def check_device(device: str) -> list[str]:
    """Return the devices of this machine, the CPU last; refuse one that is none of them.

    Raises:
        ScanweaveError: There is no such device, or not here.
    """
    known = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    there = [name for name, is_there in known.items() if is_there]
    if device not in ("auto", *known):
        raise ScanweaveError("device", f"there is no '{device}'", f"Choose one of {', '.join(['auto', *there])}")
    if device not in ("auto", *there):
        reason = f"no {device} device is available here, only {' and '.join(there)}"
        raise ScanweaveError("device", reason, f"Use --device auto, or {' or '.join(there)}")
    return there


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def device_words(device: torch.device) -> str:
    """Return a device in words, such as "cpu, 2 threads" or "cuda, NVIDIA H200"."""
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu, {count(torch.get_num_threads(), 'thread')}"
    return device.type


@contextmanager
def _enough_memory(device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        step = "Fit into another run folder with a smaller training.batch_size (and training.accumulate in its place), "
        raise ScanweaveError(
            str(device), "its memory is too small for this training", f"{step}smaller crops or a smaller network"
        ) from error


class _Session:
    """One stretch of training, from a checkpoint to a stop."""

    def __init__(
        self, task: Task, settings: TrainingSettings, run: Run, progress: TrainingProgress, accelerator: Accelerator
    ) -> None:
        self.task, self.settings, self.run, self.progress = task, settings, run, progress
        self.accelerator = accelerator
        self.updater = Updater(task, settings, accelerator)
        self.average = None
        self._kept: int | None = None
        if settings.ema_decay is not None:
            decay = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(task.network, multi_avg_fn=decay)
            self.average.requires_grad_(False)
        frozen = FrozenWeights(task.objective, run.checkpoints / START)
        self.snapshot = Snapshot(task.objective, task.network, self.average, self.updater.optimizer, frozen)
        self.checkpoints = Checkpoints(run.checkpoints, progress.say)
        processes = accelerator.num_processes
        self.state = State(
            fingerprint=settings.fingerprint, samples_per_step=settings.batch_size * settings.accumulate * processes
        )

    def resume(self) -> None:
        """Continue from the newest intact checkpoint, or write the first one."""
        path = None
        if self.run.main:
            path = self.checkpoints.newest_valid()
            self.checkpoints.tidy(path)
        path = broadcast_object_list([path])[0]
        if path is None:
            if self.run.main:
                self.snapshot.begin()
            # Proves the disk before hours of work, and keeps initial weights that a system forgot to seed.
            self.checkpoint()
        else:
            self._load(path)
            self.progress.say(f"Continuing from step {self.state.step}{self._moved()}")
        self.run.rewind(self.state.step, self.state.seconds)
        self.run.note(device=str(self.accelerator.device), processes=self.accelerator.num_processes)

    def _moved(self) -> str:
        """Say so if earlier steps were made on another device."""
        before, now = self.run.record.get("device"), self.accelerator.device
        if before in (None, str(now)):
            return ""
        return f" on {now}; those before were made on {before}, so bit-equality ends here"

    def _load(self, path: Path) -> None:
        state = read_state(path)
        before = self.run.record.get(STEPS_BEFORE, [])
        lengths = [self.settings.with_steps(steps) for steps in (self.settings.steps, *before)]
        if not any(state.fingerprint in one.fingerprints for one in lengths):
            raise ScanweaveError(path, "was made with other training settings", "Choose another run folder")
        if state.samples_per_step != self.state.samples_per_step:
            reason = f"was made with {state.samples_per_step} samples per step, now {self.state.samples_per_step}"
            raise ScanweaveError(path, reason, "Use as many processes as before, or another batch_size or accumulate")
        if before and state.fingerprint not in self.settings.fingerprints:
            length = f"{before[-1]} steps were planned, now {self.settings.steps}"
            self.progress.say(f"schedule: {length}; the learning rate follows the new length from step {state.step} on")
        self.snapshot.restore(path, state)
        if self.accelerator.scaler is not None and state.scaler:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.state, self._kept = replace(state, fingerprint=self.state.fingerprint), state.step

    def loop_or_stop(self, request: StopRequest) -> bool:
        """Do as `loop`; end the process if the stop was sent to the reading processes too and took them."""
        try:
            return self.loop(request)
        except ScanweaveError:
            if request.signal is None:
                raise
            self.progress.say("Stopped; the same command continues from the last checkpoint")
            raise SystemExit(128 + request.signal) from None

    def loop(self, request: StopRequest) -> bool:
        """Train to the end; return whether a stop was asked for instead."""
        settings, state, accelerator = self.settings, self.state, self.accelerator
        validates = getattr(self.task, "validates", True)
        feed = Feed(
            self.task,
            settings,
            start=state.step,
            rank=accelerator.process_index,
            processes=accelerator.num_processes,
            pin=accelerator.device.type == "cuda",
        )
        self.updater.train()
        self.progress.start(state.step)
        with feed.watch():
            batches = iter(feed)
            while not self.ended:
                stop = self._step(batches, stop=request.signal is not None)
                self.progress.advance(state.step)
                if state.step % settings.log_every == 0 or state.step == 1:  # the first one as a sign of life
                    self._report()
                if validates and (state.step % settings.validate_every == 0 or state.step == settings.steps):
                    self._validate()
                if stop:
                    return not self.ended
                if state.step % settings.checkpoint_every == 0:
                    self.checkpoint()
        return False

    @property
    def ended(self) -> bool:
        """Tell whether the last step is made, or patience is at its end."""
        patience = self.settings.patience
        return self.state.step >= self.settings.steps or (patience is not None and self.state.stale >= patience)

    def _step(self, batches: Iterator[Batch], *, stop: bool) -> bool:
        """Make one step; return whether any process was asked to stop."""
        attempt = self.updater.attempt(batches, self.state.step, stop=stop)
        self.state.step += 1
        if attempt.finite:
            self._update(attempt.terms)
        else:
            self.updater.discard()
            self._skip(attempt.passes, attempt.loss)
        return attempt.stop

    def _update(self, means: dict[str, float]) -> None:
        state = self.state
        self.updater.apply(state.step)
        if self.average is not None:
            self.average.update_parameters(self.task.network)
        for name, mean in means.items():
            state.terms[name] = state.terms.get(name, 0.0) + mean
        state.term_steps += 1
        state.skipped_in_a_row = 0
        state.unusable = []

    def _skip(self, passes: list[tuple[Batch, Tensor]], loss: float) -> None:
        """Leave the weights as they are, name the cases, and give up after too many steps in a row."""
        state, scaler = self.state, self.accelerator.scaler
        if scaler is not None:
            overflow = math.isfinite(loss) and scaler.get_scale() > 1
            scaler.update()
            if overflow:  # How fp16 finds its scale, and no fault of the data.
                return
        cases = _guilty(passes)
        state.skipped += 1
        state.skipped_in_a_row += 1
        state.unusable = sorted({*state.unusable, *cases})
        what = "gradient" if math.isfinite(loss) else "loss"
        self.run.log(state.step, "train", {"skipped": what, "cases": cases})
        shown = _listed(cases)
        self.progress.say(f"Step {state.step} skipped: its {what} is not finite, cases {shown}")
        if state.skipped_in_a_row >= self.settings.nonfinite_limit:
            raise ScanweaveError(
                f"step {state.step}",
                f"{what} not finite in {state.skipped_in_a_row} steps in a row, cases {_listed(state.unusable)}",
                "Check these cases; if they are sound, lower learning_rate or set clip_norm",
            )

    def _report(self) -> None:
        state = self.state
        means = {name: total / state.term_steps for name, total in state.terms.items()}
        state.terms, state.term_steps = {}, 0
        rate = learning_rate(self.settings, state.step - 1)
        pace = self.progress.pace * state.samples_per_step
        known = {"samples_per_second": round(pace, 3)} if pace else {}  # nothing to go by at the first step
        self.run.log(state.step, "train", {**means, "lr": rate, **known})
        self.progress.report(state.step, means, rate, pace)

    def _validate(self) -> None:
        state, task = self.state, self.task
        network: nn.Module = self.average.module if self.average is not None else task.network
        seed_layers(self.settings.seed, state.step)
        metrics = None
        if self.run.main:
            self.progress.validating(state.step)
            with _evaluating(network):
                metrics = task.validate(network)
        metrics = broadcast_object_list([metrics])[0]
        if metrics is None:
            return
        metrics = {name: float(value) for name, value in metrics.items()}
        if task.monitor not in metrics:
            raise ScanweaveError("monitor", f"{task.monitor} is not among {', '.join(metrics)}", "Name one of these")
        value = metrics[task.monitor]
        better = state.best is None or (value > state.best if task.higher_is_better else value < state.best)
        if better and math.isfinite(value):
            state.best, state.best_step, state.stale = value, state.step, 0
            if self.run.main:
                self.checkpoints.save_best(state, {"network": self.snapshot.best()})
        else:
            state.stale += 1
        self.run.log(state.step, "validation", metrics)
        shown = " · ".join(f"{name} {number:.4g}" for name, number in metrics.items())
        self.progress.say(f"step {state.step} validation · {shown}{'' if state.stale else ' · best so far'}")

    def checkpoint(self) -> None:
        """Write everything that is needed to continue from here."""
        if self.run.main and self._kept != self.state.step:
            state = self.state
            state.seconds = self.run.seconds
            if self.accelerator.scaler is not None:
                state.scaler = self.accelerator.scaler.state_dict()
            self.checkpoints.save(state, self.snapshot.tensors(state))
            self._kept = state.step

    def finish(self) -> None:
        """Write the last checkpoint and the weights: the best if validated, else the moving average, else the last."""
        self.checkpoint()
        state = self.state
        source, step = "last" if self.average is None else "ema", state.step
        if self.run.main:
            weights = self.snapshot.exported()
            if state.best_step is not None:
                path = self.checkpoints.path("best", state.best_step)
                fault = damage(path)
                if fault is None:
                    source, step = "best", state.best_step
                    weights = self.snapshot.completed(read_tensors(path).get("network", {}))
                else:
                    self.progress.say(f"Checkpoint {path.name} is damaged ({fault}); exporting the {source} weights")
            write_weights(self.run.weights, weights, {"weights": source, "step": step})
        self.run.finish(weights=source, step=step, steps=state.step, skipped=state.skipped)
        self.progress.say(f"Finished after step {state.step}: {self.run.weights} ({source}, step {step})")


def _guilty(passes: list[tuple[Batch, Tensor]]) -> list[str]:
    """Name the cases with non-finite numbers, else those of passes with a non-finite loss, else all of the step."""
    suspects = [case for batch, _ in passes for case in batch.suspects]
    lost = [case for batch, loss in passes if not math.isfinite(loss.item()) for case in batch.cases]
    every = [case for batch, _ in passes for case in batch.cases]
    by_process = gather_object([(suspects, lost, every)])
    merged = [sorted({case for names in group for case in names}) for group in zip(*by_process, strict=True)]
    return next((cases for cases in merged if cases), [])


def _listed(cases: list[str]) -> str:
    more = len(cases) - NAMED_CASES
    return ", ".join(cases[:NAMED_CASES]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
