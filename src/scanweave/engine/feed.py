"""Batches for each process, read ahead by worker processes whose faults are named."""

from __future__ import annotations

import os
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from scanweave.engine.free_memory import refuse_beyond_memory
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import Samples, Task
from scanweave.errors import ScanweaveError


class Batch(NamedTuple):
    """The samples of one forward pass on one process.

    Attributes:
        data: What the objective takes, tensors with a leading axis B.
        cases: The case of each sample.
        suspects: The cases with a number that is not finite in their sample.
    """

    data: dict[str, Any]
    cases: list[str]
    suspects: list[str]


_CASE_ADVICE = "Check or remove this case, then run the same command"
_BATCH_ADVICE = "Give a smaller batch, and training.accumulate in its place, or smaller crops"
HELD_COPIES = 2
"""Copies of a batch in memory at once: its samples apart, and joined."""


class _Fault(NamedTuple):
    """Stand-in that a worker sends for a batch it could not make; an exception would lose its parts on the way."""

    where: str
    reason: str
    step: str
    trace: str


class Order(Sampler[range]):
    """Global sample indices of each forward pass of this process, beginning at any step.

    Step `s` takes the samples `s·N … (s+1)·N - 1` with `N = accumulate × processes × batch_size`, pass by pass and
    process by process within a pass. So two processes, two passes, or one doubled batch see the same samples.
    """

    def __init__(self, settings: TrainingSettings, start: int, rank: int, processes: int) -> None:
        self._batch_size = settings.batch_size
        self._passes = range(start * settings.accumulate, settings.steps * settings.accumulate)
        self._rank, self._processes = rank, processes

    def __iter__(self) -> Iterator[range]:
        for number in self._passes:
            first = (number * self._processes + self._rank) * self._batch_size
            yield range(first, first + self._batch_size)

    def __len__(self) -> int:
        return len(self._passes)


class Feed:
    """Batches from a step on, read ahead by `settings.workers` processes.

    Args:
        task: Samples and how to join them.
        settings: Batch, workers and how long to wait for them.
        start: The first step to read for.
        rank: Number of this process.
        processes: Number of all processes.
        pin: Whether to place batches in pinned memory, for a faster way to a GPU.
    """

    def __init__(
        self, task: Task, settings: TrainingSettings, *, start: int, rank: int, processes: int, pin: bool
    ) -> None:
        self._samples = task.samples
        self._timeout = settings.worker_timeout
        # Row w: process id of worker w and the sample that it is reading, -1 when it reads none.
        self._reading = torch.full((max(1, settings.workers), 2), -1, dtype=torch.int64)
        self._reading.share_memory_()  # type: ignore[no-untyped-call]
        self._loader = DataLoader(
            _Reader(task.samples, task.collate, self._reading),
            batch_size=None,
            sampler=Order(settings, start, rank, processes),
            num_workers=settings.workers,
            timeout=self._timeout if settings.workers else 0,
            collate_fn=_unchanged,
            worker_init_fn=_leave_signals_to_the_parent,
            pin_memory=pin,
        )

    def __iter__(self) -> Iterator[Batch]:
        items = iter(self._loader)
        while True:
            try:
                item = next(items, None)
            except (ConnectionError, EOFError, FileNotFoundError) as error:
                # The worker died between handing over a batch and the tensors in it; reading faults do not come here.
                raise self._death("") from error
            if item is None:
                return
            if isinstance(item, _Fault):
                fault = ScanweaveError(item.where, item.reason, item.step)
                fault.add_note(item.trace)
                raise fault
            yield item

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Turn the death or silence of a worker, noticed anywhere in the block, into an error that names the case.

        The block must hold the whole loop: torch reports a dead worker from a signal handler, at any line.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            if not text.startswith("DataLoader"):
                raise
            if "timed out" not in text:
                raise self._death(text) from error
            reason = f"reading hung for more than {self._timeout:g} s"
            hint = "Check the disk and /dev/shm, or raise worker_timeout, then run the same command"
            raise ScanweaveError(self._blame(text), reason, hint) from error

    def _death(self, text: str) -> ScanweaveError:
        if "signal" not in text and "exit code" not in text:
            try:  # torch tells the cause from a SIGCHLD handler, which may run a moment later.
                time.sleep(1)
            except RuntimeError as told:
                text = str(told)
        cause = re.search(r"killed by signal: \w[\w ]*\w|exit code \d+", text)
        reason = "the reading process died" + (f" ({cause[0]})" if cause else "")
        hint = "Memory or /dev/shm may be full: use fewer workers, then run the same command"
        return ScanweaveError(self._blame(text), reason, hint)

    def _blame(self, text: str) -> str:
        """Name the samples that were being read by the worker that `text` tells of, or by all."""
        pids = {int(pid) for group in re.findall(r"\(pid(?:\(s\))? ([\d, ]+)\)", text) for pid in group.split(",")}
        rows = [row for row in self._reading.tolist() if row[1] >= 0]
        guilty = [row for row in rows if row[0] in pids] or rows
        return ", ".join(_name(self._samples, index) for _, index in guilty) or "training samples"


class _Reader(Dataset[Batch | _Fault]):
    """Read and join the samples of one forward pass, in a worker."""

    def __init__(
        self,
        samples: Samples,
        collate: Callable[[list[dict[str, Any]]], dict[str, Any]],
        reading: torch.Tensor,
    ) -> None:
        self._samples, self._collate, self._reading = samples, collate, reading
        self._looked = False

    def __getitem__(self, indices: Sequence[int]) -> Batch | _Fault:
        worker = get_worker_info()
        row = self._reading[worker.id if worker else 0]
        row[0] = os.getpid()
        names: list[str] = []
        samples: list[dict[str, Any]] = []
        try:
            for index in indices:
                row[1] = index
                names = [_name(self._samples, index)]
                samples.append(self._samples[index])
                if fault := self._too_large(samples[0], len(indices)):
                    return fault
            names = cases = [str(sample["case"]) for sample in samples]
            data = self._collate(samples)
        except Exception as error:  # A system's code may raise anything, and torch would report it without the case.
            reason = str(error) if isinstance(error, ScanweaveError) else f"{type(error).__name__}: {error}"
            where, words = ", ".join(names), f"cannot be read ({reason.rstrip('.')})"
            return _Fault(where, words, _CASE_ADVICE, traceback.format_exc())
        row[1] = -1
        return Batch(data, cases, [case for case, sample in zip(cases, samples, strict=True) if not _finite(sample)])

    def _too_large(self, sample: dict[str, Any], count: int) -> _Fault | None:
        """Return a fault if memory cannot hold a batch, to judge by the first sample of all."""
        if self._looked:
            return None
        self._looked = True
        size = sum(value.nbytes for value in sample.values() if isinstance(value, torch.Tensor | np.ndarray))
        what = f"a batch of {count} samples takes"
        try:
            refuse_beyond_memory(HELD_COPIES * count * size, "training.batch_size", what, _BATCH_ADVICE)
        except ScanweaveError as error:
            return _Fault(error.where, error.reason, error.next_step, "")
        return None


def _finite(sample: dict[str, Any]) -> bool:
    return all(
        bool(torch.isfinite(value).all()) if isinstance(value, torch.Tensor) else bool(np.isfinite(value).all())
        for value in sample.values()
        if (isinstance(value, torch.Tensor) and value.is_floating_point())
        or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
        or isinstance(value, float)
    )


def _name(samples: Samples, index: int) -> str:
    case = getattr(samples, "case", None)
    return f"{case(index)} (sample {index})" if callable(case) else f"sample {index}"


def _leave_signals_to_the_parent(_: int) -> None:
    # Ctrl-C and `timeout` reach the whole process group; the parent still needs its readers to finish the step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)


def _unchanged(item: Any) -> Any:
    return item
