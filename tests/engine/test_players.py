import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adversaries import TEACHER_DECAY, AdversaryTask, fit_adversaries
from safetensors.torch import load_file
from tiny import TinyTask, in_two_forks

from scanweave.engine.checkpoint import read_tensors
from scanweave.engine.parameter_groups import make_optimizer, teams_of
from scanweave.engine.run import Run
from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import Part, Player

FORK = multiprocessing.get_context("fork")


class CalmTask(AdversaryTask):
    """Without dropout and batch statistics, so that a batch and its halves learn the same."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.network.generator = self.network.generator[1::2]
        self.objective.network = self.network


def state(run: Run, step: int = 12) -> dict[str, torch.Tensor]:
    groups = read_tensors(run.checkpoints / f"step-{step:08d}")
    return {f"{group}:{name}": value for group, values in groups.items() for name, value in values.items()}


def largest_difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


def by_hand(steps: int) -> AdversaryTask:
    """Two optimizers of torch's own, a training in ten lines."""
    task = CalmTask()
    last = [*task.network.generator[-1].parameters()]
    adam = torch.optim.AdamW
    generator = adam([{"params": last, "lr": 5e-3, "weight_decay": 0.1}], betas=(0.9, 0.999))
    discriminator = adam(task.objective.discriminator.parameters(), lr=2e-2, weight_decay=0.01, betas=(0.5, 0.9))
    for step in range(steps):
        terms = task.objective(task.collate([task.samples[index] for index in (2 * step, 2 * step + 1)]))
        own = torch.autograd.grad(terms["generator"], last, retain_graph=True)
        terms_of_other = [*task.objective.discriminator.parameters()]
        other = torch.autograd.grad(terms["discriminator"], terms_of_other)
        for weight, gradient in zip([*last, *terms_of_other], [*own, *other], strict=True):
            weight.grad = gradient
        generator.step()
        discriminator.step()
        with torch.no_grad():
            for mine, theirs in zip(task.network.teacher.parameters(), last, strict=True):
                mine.lerp_(theirs, 1 - TEACHER_DECAY)
    return task


def test_players_learn_as_two_optimizers_by_hand(tmp_path: Path) -> None:
    made = state(fit_adversaries(tmp_path, CalmTask(), schedule="constant", steps=6, ema_decay=None), 6)
    task = by_hand(6)
    expected = {name: value for name, value in task.network.state_dict().items() if "encoder" not in name}
    beside = {name: value for name, value in task.objective.state_dict().items() if name.startswith("discriminator")}
    for group, values in (("network", expected), ("objective", beside)):
        for name, value in values.items():
            torch.testing.assert_close(made[f"{group}:{name}"], value, rtol=1e-5, atol=1e-6)


def test_accumulation_and_a_larger_batch_teach_players_the_same(tmp_path: Path) -> None:
    doubled = state(fit_adversaries(tmp_path / "doubled", CalmTask(), batch_size=4))
    twice = state(fit_adversaries(tmp_path / "twice", CalmTask(), accumulate=2))
    assert largest_difference(doubled, twice) <= 1e-5


def test_a_loss_of_one_player_that_is_not_finite_stops_all_for_that_step(tmp_path: Path) -> None:
    task = AdversaryTask(faults=dict.fromkeys(range(6, 8), "wild"))
    seen: list[int] = []
    hook = task.after_step

    def after_step(step: int) -> None:
        seen.append(step)
        hook(step)

    task.after_step = after_step  # type: ignore[method-assign]
    run = fit_adversaries(tmp_path, task, steps=4, checkpoint_every=1)
    before, skipped = state(run, 3), state(run, 4)
    rows = [row for row in run.metrics() if "skipped" in row]
    assert rows == [{"step": 4, "split": "train", "skipped": "loss", "cases": ["case-0", "case-6"]}]
    assert largest_difference(before, skipped) == 0
    assert seen == [1, 2, 3]


def test_kills_leave_no_trace_in_players_parts_and_teachers(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"steps": 30, "checkpoint_every": 2, "accumulate": 2, "clip_norm": 0.5, "workers": 1}
    changes["decay_norms_and_biases"] = False  # kernels and biases in groups apart, not in the objective's order
    whole = fit_adversaries(tmp_path / "whole", **changes)
    draw = np.random.default_rng(3)
    for _ in range(3):
        task = AdversaryTask(pause=0.03)
        child = FORK.Process(target=fit_adversaries, args=(tmp_path / "killed", task), kwargs=changes)
        child.start()
        while child.is_alive() and not any((tmp_path / "killed" / "checkpoints").glob("step-*")):
            time.sleep(0.01)
        time.sleep(draw.uniform(0.2, 0.9))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    # A fresh start from other weights: what is frozen comes from the run, too.
    killed = fit_adversaries(tmp_path / "killed", AdversaryTask(seed=5), **changes)
    assert whole.weights.read_bytes() == killed.weights.read_bytes()
    assert largest_difference(state(whole, 30), state(killed, 30)) == 0
    assert int(state(killed, 30)["objective:moves"]) == 30
    shapes = {name: weight.shape for name, weight in AdversaryTask().objective.named_parameters()}
    moments = read_tensors(killed.checkpoints / "step-00000030")["optimizer"]
    assert all(value.shape in (shapes[name.split(":")[0]], ()) for name, value in moments.items())
    assert len(moments) == 3 * sum("encoder" not in name and "teacher" not in name for name in shapes)


def fit_calm(folder: Path, batch_size: int) -> Run:
    return fit_adversaries(folder, CalmTask(), batch_size=batch_size, steps=4, checkpoint_every=2)


def test_players_in_two_processes_and_in_a_larger_batch_learn_the_same(tmp_path: Path) -> None:
    in_two_forks(fit_calm, tmp_path / "pair", 2)
    doubled = fit_calm(tmp_path / "doubled", 4)
    assert Run.open(tmp_path / "pair").record["processes"] == 2
    assert largest_difference(state(doubled, 4), state(Run.open(tmp_path / "pair"), 4)) <= 1e-5
    assert load_file(doubled.weights).keys() == load_file(tmp_path / "pair" / "weights.safetensors").keys()


def test_groups_have_the_rates_and_decays_of_their_parts() -> None:
    task = TinyTask()
    first = task.network[0]
    task.parts = lambda: {"first": Part(first.parameters(), rate=0.1, weight_decay=0.5)}  # type: ignore[attr-defined]
    settings = TrainingSettings(optimizer="adamw", weight_decay=0.05, decay_norms_and_biases=False)
    names = {weight: name for name, weight in task.objective.named_parameters()}
    found = {
        names[weight]: (group["factor"], group["weight_decay"])
        for group in make_optimizer(task, settings).param_groups
        for weight in group["params"]
    }
    assert found == {
        "network.0.weight": (0.1, 0.5),
        "network.0.bias": (0.1, 0.0),
        "network.1.weight": (1.0, 0.0),
        "network.1.bias": (1.0, 0.0),
        "network.4.weight": (1.0, 0.05),
        "network.4.bias": (1.0, 0.0),
        "scale": (1.0, 0.0),
    }


def test_sgd_is_torchs_own_with_momentum() -> None:
    settings = TrainingSettings(optimizer="sgd", momentum=0.99, nesterov=True, weight_decay=3e-5)
    optimizer = make_optimizer(TinyTask(), settings)
    assert isinstance(optimizer, torch.optim.SGD)
    group = optimizer.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.99, True, 3e-5)


def test_parameters_of_two_owners_or_of_none_are_refused() -> None:
    task = TinyTask()
    weights = [*task.objective.parameters()]
    task.parts = lambda: {"a": Part(weights[:2]), "b": Part(weights[1:])}  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="parts a and b share a parameter"):
        make_optimizer(task, TrainingSettings())
    task.parts = lambda: {"c": Part([torch.nn.Parameter(torch.ones(1))])}  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="part c has a parameter that the objective has not"):
        make_optimizer(task, TrainingSettings())
    task.players = lambda: {"only": Player(task.network.parameters(), "loss")}  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no player trains scale"):
        teams_of(task)
