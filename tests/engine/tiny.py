"""A task of two convolutions on random images; run as a script, a training that a test can kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from scanweave.engine.loop import train
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings

BASE: dict[str, Any] = {
    "steps": 12,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "device": "cpu",
    "validate_every": 4,
    "checkpoint_every": 3,
    "log_every": 2,
    "workers": 0,
    "ema_decay": 0.9,
}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time that the test set [s]."""
        return self.now


class TinySamples:
    """Images whose target is their blur; `faults` maps a sample index to what goes wrong with it."""

    def __init__(self, seed: int = 0, faults: dict[int, str] | None = None) -> None:
        self.seed, self.faults = seed, faults or {}

    def case(self, index: int) -> str:
        return f"case-{index % 7}"

    def __getitem__(self, index: int) -> dict[str, Any]:
        fault = self.faults.get(index)
        if fault == "raise":
            raise ValueError("the header lies")
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "exit":
            os._exit(3)
        if fault == "hang":
            time.sleep(600)
        image = np.random.default_rng([self.seed, index]).standard_normal((1, 8, 8), dtype=np.float32)
        if fault == "nan":
            image[0, 0, 0] = np.nan
        return {"case": self.case(index), "image": torch.from_numpy(image), "wild": torch.tensor(fault == "wild")}


class TinyObjective(nn.Module):
    """Mean squared error, with layers that carry state: batch normalisation, dropout, and a scale of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        image = batch["image"]
        target = nn.functional.avg_pool2d(image, 3, 1, 1)
        error = (self.network(image) * self.scale - target).square().mean()
        # A finite loss whose gradient is not: the square root at zero.
        wild = (self.scale * 0).square().sqrt() if bool(batch["wild"].any()) else 0.0
        return {"loss": error + wild, "error": error}


class TinyTask:
    """`plain`: in float64 and without layers that look at a whole batch, to compare batches of different sizes."""

    monitor = "error"
    higher_is_better = False
    validates = True

    def __init__(self, seed: int = 0, *, plain: bool = False, faults: dict[int, str] | None = None) -> None:
        torch.manual_seed(seed)
        middle = [nn.ReLU()] if plain else [nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1)]
        self.network: nn.Module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *middle, nn.Conv2d(4, 1, 3, padding=1))
        self.dtype = torch.float64 if plain else torch.float32
        self.objective: nn.Module = TinyObjective(self.network).to(self.dtype)
        self.samples = TinySamples(seed, faults)
        self.series: list[float] | None = None

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        image, wild = (torch.stack([sample[name] for sample in samples]) for name in ("image", "wild"))
        return {"image": image.to(self.dtype), "wild": wild}

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        if self.series is not None:
            return {"error": self.series.pop(0)}
        image = self.collate([TinySamples(99)[index] for index in range(4)])["image"]
        target = nn.functional.avg_pool2d(image, 3, 1, 1)
        return {"error": float((network(image) - target).square().mean())}


class TinySettings(BaseModel):
    """Settings of the tiny system."""

    training: TrainingSettings


def fit(folder: Path, task: TinyTask | None = None, **changes: Any) -> Run:
    """Train the tiny task into `folder`."""
    settings = TrainingSettings(**{**BASE, **changes})
    with Run.start(folder, "tiny", {"training": settings.model_dump(mode="json")}, kind=TinySettings) as run:
        train(task or TinyTask(settings.seed), settings, run)
    return Run.open(folder)


def stop_after(step: int, faults: dict[int, str] | None = None) -> TinyTask:
    """Return a task that asks its own process to stop while step `step` is read."""
    task = TinyTask(faults=faults)
    read, calls = task.collate, count(1)

    def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return read(samples)

    task.collate = collate  # type: ignore[method-assign]
    return task


def in_two_forks(work: Callable[..., object], *given: Any) -> None:
    """Call `work` in two forks of this process, which find each other as those of torchrun do, but in a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}

    def one(rank: int) -> None:
        os.environ |= {**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        work(*given)

    forks = [multiprocessing.get_context("fork").Process(target=one, args=(rank,)) for rank in (0, 1)]
    for fork in forks:
        fork.start()
    for fork in forks:
        fork.join(120)
        assert fork.exitcode == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    changes = json.loads(sys.argv[2])
    plain = changes.pop("plain", False)
    pause = changes.pop("pause", 0.0)
    tiny = TinyTask(plain=plain)
    if pause:
        read = tiny.collate

        def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
            time.sleep(pause)
            return read(samples)

        tiny.collate = collate  # type: ignore[method-assign]
    fit(Path(sys.argv[1]), tiny, **changes)
