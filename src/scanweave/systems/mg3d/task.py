"""Learning task that MG-3D hands to the engine."""

from __future__ import annotations

from torch import nn

from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.framework.reported.pair_fit import Pairs
from scanweave.framework.reported.pair_validation import PairValidation
from scanweave.systems.mg3d.config import Mg3dConfig
from scanweave.systems.mg3d.network import make_network
from scanweave.systems.mg3d.objective import Mg3dObjective
from scanweave.systems.mg3d.samples import GuidedSamples


class Mg3dTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        pairs: Volumes, reports, and the plan.
    """

    monitor = "pair loss"
    higher_is_better = False
    batch_coupled = True

    def __init__(self, config: Mg3dConfig, pairs: Pairs) -> None:
        plan = pairs.plan
        refuse_large_input(plan.size, 1, "network.size", config.training.batch_size)
        self.network = seeded_network(config, lambda: make_network(plan, config.network))
        self.objective = Mg3dObjective(self.network, config.objective, config.network.embedding)
        self.samples = GuidedSamples(pairs, config)
        self.validation = PairValidation(pairs, config)
        self.validates = len(self.validation.studies) > 1

    def after_step(self, step: int) -> None:
        """Count the step, and keep the pairs of the batch where there is a queue."""
        self.objective.after_step()

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return what `PairValidation` measures."""
        return self.validation.measure(network)
