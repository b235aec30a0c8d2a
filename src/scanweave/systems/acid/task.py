"""The task that ACID hands to the engine."""

from __future__ import annotations

import torch
from deepinv.physics import LinearPhysics
from torch import nn

from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.measures.batches import pieces, psnr
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.measurement_pairs import Pairs
from scanweave.systems.acid.network import make_network
from scanweave.systems.acid.objective import AcidObjective
from scanweave.systems.acid.samples import PairSamples

BATCH = 16
"""Images that a validation puts through the network at once."""


class AcidTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        physics: The scanner.
        training: What is learnt from.
        validation: What chooses the weights; None keeps the last.
        data_range: Span of possible values, for the PSNR.
    """

    def __init__(
        self, config: AcidConfig, physics: LinearPhysics, training: Pairs, validation: Pairs | None, data_range: float
    ) -> None:
        self.network = seeded_network(config, lambda: make_network(training.truth.shape[1], config.network))
        self.objective = AcidObjective(self.network, physics)
        self.samples = PairSamples(training, config.sampling, config.training.seed)
        self.physics, self.validation, self.data_range = physics, validation, data_range
        self.validates = validation is not None

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Mean PSNR [dB] of Φ(p), without the loop."""
        if self.validation is None:
            return None
        device = next(network.parameters()).device
        made = [
            network(self.physics.A_dagger(part.to(device))).cpu() for part in pieces(self.validation.measurement, BATCH)
        ]
        return {"psnr": float(psnr(torch.cat(made), self.validation.truth, self.data_range).mean())}
