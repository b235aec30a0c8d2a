"""One step: passes forward and back, the gradients of all processes, and an update that all players make or none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, distributed, nn

from scanweave.engine.feed import Batch
from scanweave.engine.parameter_groups import make_optimizer, set_rate, teams_of
from scanweave.engine.schedule import learning_rate
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import HasHook, Task


class Attempt(NamedTuple):
    """Findings of the passes of one step, the same on all processes.

    Attributes:
        terms: Mean of each term over passes and processes.
        loss: Sum of what the players minimise.
        finite: Whether every loss and every gradient is finite.
        passes: The batches of this process and the loss of each.
        stop: Whether any process was asked to stop.
    """

    terms: dict[str, float]
    loss: float
    finite: bool
    passes: list[tuple[Batch, Tensor]]
    stop: bool


class Updater:
    """The objective and its optimizer, ready to make steps.

    Args:
        task: What to learn.
        settings: How.
        accelerator: Where.

    Attributes:
        optimizer: The optimizer by itself, for checkpoints.
    """

    def __init__(self, task: Task, settings: TrainingSettings, accelerator: Accelerator) -> None:
        self._task, self._settings, self._accelerator = task, settings, accelerator
        self._teams = teams_of(task)
        self.optimizer = make_optimizer(task, settings)
        # Several backward passes through one forward pass are more than DDP's reducer can follow.
        self._alone = len(self._teams) > 1
        if self._alone:
            self._model: nn.Module = accelerator.prepare_model(task.objective, evaluation_mode=True)
            self._prepared = accelerator.prepare(self.optimizer)
            self._share(*task.objective.state_dict().values())
        else:
            self._model, self._prepared = accelerator.prepare(task.objective, self.optimizer)
        self._before: list[Tensor] = []

    def train(self) -> None:
        """Set the objective to training."""
        self._model.train()

    def attempt(self, batches: Iterator[Batch], step: int, *, stop: bool) -> Attempt:
        """Compute the gradients of a step from its batches; `apply` or `discard` them next.

        Args:
            batches: The batches of this process.
            step: Updates made so far.
            stop: Whether this process was asked to stop.
        """
        settings, accelerator = self._settings, self._accelerator
        set_rate(self.optimizer, learning_rate(settings, step))
        self._before = [buffer.detach().clone() for buffer in self._task.objective.buffers()]
        sums: dict[str, Tensor] = {}
        passes: list[tuple[Batch, Tensor]] = []
        for number in range(settings.accumulate):
            batch = next(batches)
            # After the read, since code that reads may draw too, and a loader draws when it is begun.
            seed_layers(settings.seed, step, number, accelerator.process_index)
            terms = self._pass(batch, last=number == settings.accumulate - 1)
            loss = sum(terms[team.loss].detach() for team in self._teams)
            passes.append((batch, torch.as_tensor(loss)))
            for name, term in terms.items():
                sums[name] = sums.get(name, 0) + term.detach().float() / settings.accumulate
        norms = self._clip()
        # One exchange a step. A value that is not finite anywhere is not finite in the mean: all processes agree.
        flag = torch.tensor(float(stop), device=accelerator.device)
        exchanged = accelerator.reduce(torch.stack([flag, *norms, *sums.values()]), "mean").tolist()
        means = dict(zip(sums, exchanged[1 + len(norms) :], strict=True))
        total = sum(means[team.loss] for team in self._teams)
        finite = math.isfinite(total) and all(map(math.isfinite, exchanged[1 : 1 + len(norms)]))
        return Attempt(means, total, finite, passes, exchanged[0] > 0)

    def apply(self, step: int) -> None:
        """Move the weights by the gradients of `attempt`, then let the task do what it does after step `step`."""
        self._prepared.step()
        self._prepared.zero_grad()
        if isinstance(self._task, HasHook):
            # As if one more pass followed, and the same on all processes.
            seed_layers(self._settings.seed, step - 1, self._settings.accumulate, 0)
            with torch.no_grad():
                self._task.after_step(step)

    def discard(self) -> None:
        """Drop the gradients of `attempt`, and set back the buffers that its passes changed."""
        for buffer, before in zip(self._task.objective.buffers(), self._before, strict=True):
            buffer.copy_(before)
        self._prepared.zero_grad()

    def _pass(self, batch: Batch, *, last: bool) -> dict[str, Tensor]:
        accelerator, passes = self._accelerator, self._settings.accumulate
        if self._alone:
            self._share(*self._task.objective.buffers())  # as DDP does before each forward pass
        with accelerator.no_sync(self._model) if not (last or self._alone) else nullcontext():
            terms: dict[str, Tensor] = self._model(send_to_device(batch.data, accelerator.device, non_blocking=True))
            for number, team in enumerate(self._teams, 1):
                options: dict[str, Any] = {}
                if self._alone:  # a loss that runs through another player leaves that player's gradients alone
                    options = {"inputs": team.weights, "retain_graph": number < len(self._teams)}
                accelerator.backward(terms[team.loss] / passes, **options)
        if last and self._alone:
            self._average_gradients()
        return terms

    def _clip(self) -> list[Tensor]:
        """Return the norm of each player's gradient, clipped by itself."""
        limit = self._settings.clip_norm or math.inf
        self._accelerator.unscale_gradients()
        found = (nn.utils.clip_grad_norm_(team.weights, limit) for team in self._teams)
        return [norm.to(self._accelerator.device).float() for norm in found]

    def _average_gradients(self) -> None:
        """Average the gradients over the processes; a parameter that one of them did not use counts as zero there."""
        if self._accelerator.num_processes == 1:
            return
        weights = [weight for team in self._teams for weight in team.weights]
        used = torch.tensor([float(weight.grad is not None) for weight in weights], device=self._accelerator.device)
        distributed.all_reduce(used)
        chosen = [weight for weight, count in zip(weights, used.tolist(), strict=True) if count]
        for dtype in {weight.dtype: None for weight in chosen}:
            group = [weight for weight in chosen if weight.dtype == dtype]
            flat = torch.cat(
                [(weight.grad if weight.grad is not None else torch.zeros_like(weight)).reshape(-1) for weight in group]
            )
            distributed.all_reduce(flat)
            flat /= self._accelerator.num_processes
            for weight, part in zip(group, torch.split(flat, [weight.numel() for weight in group]), strict=True):
                weight.grad = part.view_as(weight).clone()

    def _share(self, *tensors: Tensor) -> None:
        if self._accelerator.num_processes > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.detach(), 0)


def seed_layers(*numbers: int) -> None:
    """Seed torch's global generator, which dropout draws from; seeded per step, it needs no place in a checkpoint."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
