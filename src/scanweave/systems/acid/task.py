"""What ACID hands to the engine."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import nn
from torch.utils.data import default_collate

from scanweave.measures.batches import pieces, psnr
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.measurement_pairs import Pairs
from scanweave.systems.acid.network import make_network
from scanweave.systems.acid.objective import AcidObjective
from scanweave.systems.acid.samples import PairSamples

BATCH = 16
"""Images that a validation puts through the network at once."""


class AcidTask:
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        physics: The scanner.
        training: What is learnt from.
        validation: What chooses the weights; None keeps the last.
        data_range: Span of possible values, for the PSNR.
    """

    monitor = "psnr"
    higher_is_better = True

    def __init__(
        self, config: AcidConfig, physics: LinearPhysics, training: Pairs, validation: Pairs | None, data_range: float
    ) -> None:
        seed = config.training.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = make_network(training.truth.shape[1], config.network)
        self.objective = AcidObjective(self.network, physics)
        self.samples = PairSamples(training, config.sampling, seed)
        self.physics, self.validation, self.data_range = physics, validation, data_range

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Join samples to a batch with a leading axis B."""
        return default_collate(samples)

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Mean PSNR [dB] of Φ(p), without the loop."""
        if self.validation is None:
            return None
        device = next(network.parameters()).device
        made = [
            network(self.physics.A_dagger(part.to(device))).cpu() for part in pieces(self.validation.measurement, BATCH)
        ]
        return {"psnr": float(psnr(torch.cat(made), self.validation.truth, self.data_range).mean())}
