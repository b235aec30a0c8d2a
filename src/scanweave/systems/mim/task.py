"""Learning task that MiM hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mim.config import MimConfig
from scanweave.systems.mim.levels import AXES, plan_levels
from scanweave.systems.mim.network import MimNetwork, block_of
from scanweave.systems.mim.objective import MimObjective
from scanweave.systems.mim.samples import CropSamples, images_of, sample_of

VALIDATION_STREAM = 3
"""Keeps crops and masks of validations apart from what else is drawn from a seed."""


class MimTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
    """

    monitor = "error"
    higher_is_better = False

    def __init__(self, config: MimConfig, training: Sequence[CachedStudy], validation: Sequence[CachedStudy]) -> None:
        self.config = config
        levels = plan_levels(config.levels, block_of(config.network))
        refuse_large_input((config.levels.extent,) * AXES, 1, "levels.extent", config.training.batch_size)
        self.network = seeded_network(config, lambda: MimNetwork(config))
        self.objective = MimObjective(self.network, config)
        self.samples = CropSamples(images_of(training), levels, config.training.seed)
        self.validation = images_of(validation[: config.validation_studies])
        self.validates = bool(self.validation)

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return the error of each level on the same crops and masks every time, their weighted sum, and features.

        `feature deviation` and `feature rank` tell of a collapse of the encoder, see `feature_spread`; each is the mean
        over the levels.
        """
        if not self.validation:
            return None
        if not isinstance(network, MimNetwork):
            raise TypeError(f"a MimNetwork is validated, not a {type(network).__name__}")
        device = next(network.parameters()).device
        objective = MimObjective(network, self.config).to(device)
        seed, errors = self.config.training.seed, list[list[float]]()
        features: list[list[Tensor]] = [[] for _ in objective.levels]
        for number, image in enumerate(self.validation):
            rng = np.random.default_rng([seed, VALIDATION_STREAM, number])
            batch = self.collate([sample_of(image, objective.levels, rng)])
            batch = {key: value.to(device) for key, value in batch.items() if isinstance(value, Tensor)}
            errors.append([float(objective.look(batch, level).errors.mean()) for level in range(len(objective.levels))])
            for level, own in enumerate(features):
                own.append(objective.embedded(batch, level).float().cpu())
        means = np.mean(errors, axis=0)
        weighted = float(np.dot(means, self.config.loss.reconstruction))
        by_level = {f"level {number + 1}": float(value) for number, value in enumerate(means)}
        return {"error": weighted, **by_level, **_mean_spread([torch.cat(own) for own in features])}


def _mean_spread(features: Sequence[Tensor]) -> dict[str, float]:
    """Return `feature_spread`, the mean over levels; none of a level of one view alone."""
    found = [one for one in map(feature_spread, features) if one]
    return {name: float(np.mean([one[name] for one in found])) for name in (found[0] if found else ())}


def feature_spread(features: Tensor) -> dict[str, float]:
    """Return whether features `(V, D)` of different views differ.

    `feature deviation` is the mean standard deviation over views of each number of a feature whose length is 1, times
    √D: 0 where all are the same, at most 1. `feature rank` is the exponential of the entropy of the shares of their
    singular values (Roy & Vetterli, EUSIPCO 2007): in how many directions they differ, at most V − 1 or D.
    """
    if len(features) < 2:
        return {}
    unit = nn.functional.normalize(features.double(), dim=1)
    centred = unit - unit.mean(dim=0)
    deviation = float(centred.square().mean(dim=0).sqrt().mean()) * features.shape[1] ** 0.5
    values = torch.linalg.svdvals(centred)
    shares = values / values.sum().clamp(min=1e-12)
    entropy = float(-(shares * shares.clamp(min=1e-12).log()).sum())
    return {"feature deviation": deviation, "feature rank": float(np.exp(entropy))}
