"""A generator, a discriminator, a frozen encoder and a teacher, learning together; as a script, a training to kill."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tiny import BASE, TinySamples, TinyTask
from torch import nn

from scanweave.engine.loop import train
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import Part, Player

TEACHER_DECAY = 0.9


class Network(nn.Module):
    """A frozen encoder before a generator, and the generator's teacher."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 3, padding=1).requires_grad_(False)
        self.generator = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(4, 1, 3, padding=1))
        self.teacher = nn.Conv2d(4, 1, 3, padding=1).requires_grad_(False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.generator(self.encoder(image))
        return made


class Adversaries(nn.Module):
    """A least-squares GAN whose generator also copies its teacher."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.discriminator = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        real = nn.functional.avg_pool2d(batch["image"], 3, 1, 1)
        fake = self.network(batch["image"])
        taught = self.network.teacher(self.network.encoder(batch["image"]))
        fooled = (self.discriminator(fake) - 1).square().mean()
        told = (self.discriminator(real) - 1).square().mean() + self.discriminator(fake.detach()).square().mean()
        if bool(batch["wild"].any()):
            told = told * torch.inf
        return {"generator": fooled + (fake - taught).square().mean(), "discriminator": told}


class AdversaryTask(TinyTask):
    """Task with parts, players and a hook; `seed` draws the weights, frozen ones included."""

    monitor = "error"

    def __init__(self, seed: int = 0, *, faults: dict[int, str] | None = None, pause: float = 0.0) -> None:
        torch.manual_seed(seed)
        self.network: Network = Network()  # type: ignore[mutable-override]
        self.dtype = torch.float32
        self.objective = Adversaries(self.network)
        self.samples = TinySamples(0, faults)
        self.series = None
        self.pause = pause

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        time.sleep(self.pause)
        return super().collate(samples)

    def parts(self) -> Mapping[str, Part]:
        last = self.network.generator[-1].parameters()
        return {"last": Part(last, rate=0.5, weight_decay=0.1), "encoder": Part(self.network.encoder.parameters())}

    def players(self) -> Mapping[str, Player]:
        return {
            "generator": Player(self.network.parameters(), "generator"),
            "discriminator": Player(self.objective.discriminator.parameters(), "discriminator", 2.0, (0.5, 0.9)),
        }

    def after_step(self, step: int) -> None:
        self.objective.moves += 1
        for mine, theirs in zip(
            self.network.teacher.parameters(), self.network.generator[-1].parameters(), strict=True
        ):
            mine.lerp_(theirs, 1 - TEACHER_DECAY)


def fit_adversaries(folder: Path, task: AdversaryTask | None = None, **changes: Any) -> Run:
    """Train the adversaries into `folder`."""
    settings = TrainingSettings(**{**BASE, "optimizer": "adamw", "weight_decay": 0.01, **changes})
    with Run.start(folder, "tiny", {"training": settings.model_dump(mode="json")}) as run:
        train(task or AdversaryTask(settings.seed), settings, run)
    return Run.open(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = json.loads(sys.argv[2])
    fit_adversaries(Path(sys.argv[1]), AdversaryTask(pause=given.pop("pause", 0.0)), **given)
