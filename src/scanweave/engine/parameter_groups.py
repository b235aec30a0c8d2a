"""The optimizer of a task: its parameters in groups by player, part and decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from scanweave.engine.settings import TrainingSettings
from scanweave.engine.task import HasParts, HasPlayers, Part, Task

Optimizer = torch.optim.Optimizer


class Team(NamedTuple):
    """Parameters that one loss trains.

    Attributes:
        loss: Name of the loss.
        weights: The parameters that require a gradient, in the objective's order.
    """

    loss: str
    weights: list[nn.Parameter]


def teams_of(task: Task) -> list[Team]:
    """Return what each loss of a task trains; one team with "loss" where the task names no players.

    Raises:
        ValueError: A parameter belongs to two players or to none.
    """
    trained = {name: weight for name, weight in task.objective.named_parameters() if weight.requires_grad}
    if not isinstance(task, HasPlayers):
        return [Team("loss", list(trained.values()))]
    players = task.players()
    owner = _owners({name: list(player.parameters) for name, player in players.items()}, "players")
    missing = [name for name, weight in trained.items() if weight not in owner]
    if missing:
        raise ValueError(f"no player trains {missing[0]}")
    return [
        Team(player.loss, [weight for weight in trained.values() if owner[weight] == name])
        for name, player in players.items()
    ]


def make_optimizer(task: Task, settings: TrainingSettings) -> Optimizer:
    """Return the optimizer of a task; each of its groups has a "factor" on the learning rate.

    All players share one optimizer object: they step together, so that groups are the same as an optimizer each.

    Raises:
        ValueError: A parameter belongs to two parts or players, to no player, or to no part of the objective.
    """
    groups = _groups(task, settings)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    return kind(groups, lr=settings.learning_rate, betas=settings.betas)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of each group to its factor of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def _groups(task: Task, settings: TrainingSettings) -> list[dict[str, Any]]:
    parts: Mapping[str, Part] = task.parts() if isinstance(task, HasParts) else {}
    players = task.players() if isinstance(task, HasPlayers) else {}
    part_of = _owners({name: list(part.parameters) for name, part in parts.items()}, "parts")
    known = set(task.objective.parameters())
    strange = [name for weight, name in part_of.items() if weight not in known]
    if strange:
        raise ValueError(f"part {strange[0]} has a parameter that the objective has not")
    groups: dict[tuple[str | None, str | None, bool], dict[str, Any]] = {}
    for name, team in zip(players or [None], teams_of(task), strict=True):
        for weight in team.weights:
            part = part_of.get(weight)
            decays = settings.decay_norms_and_biases or not _is_norm_or_bias(weight)
            key = (name, part, decays)
            if key not in groups:
                groups[key] = {"params": [], **_overrides(settings, parts.get(part or ""), decays)}
                if name is not None:
                    groups[key]["factor"] *= players[name].rate
                    if players[name].betas is not None and settings.optimizer != "sgd":
                        groups[key]["betas"] = players[name].betas
            groups[key]["params"].append(weight)
    return list(groups.values())


def _overrides(settings: TrainingSettings, part: Part | None, decays: bool) -> dict[str, Any]:
    own = None if part is None else part.weight_decay
    decay = settings.weight_decay if own is None else own
    return {"factor": 1.0 if part is None else part.rate, "weight_decay": decay if decays else 0.0}


def _owners(named: Mapping[str, list[nn.Parameter]], what: str) -> dict[nn.Parameter, str]:
    owner: dict[nn.Parameter, str] = {}
    for name, weights in named.items():
        for weight in weights:
            if owner.setdefault(weight, name) != name:
                raise ValueError(f"{what} {owner[weight]} and {name} share a parameter")
    return owner


def _is_norm_or_bias(weight: nn.Parameter) -> bool:
    # Scales and shifts of norms, biases, and single numbers such as a temperature have at most one axis; kernels and
    # matrices have more. The rule of timm's and of CLIP's training.
    return weight.ndim <= 1
