"""Learning task that MGCA hands to the engine."""

from __future__ import annotations

from torch import nn

from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.framework.reported.pair_fit import Pairs
from scanweave.framework.reported.pair_samples import PairSamples
from scanweave.framework.reported.pair_validation import PairValidation
from scanweave.systems.mgca.config import MgcaConfig
from scanweave.systems.mgca.network import make_network
from scanweave.systems.mgca.objective import MgcaObjective


class MgcaTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        pairs: Films, reports, and the plan.
    """

    monitor = "pair loss"
    higher_is_better = False
    batch_coupled = True

    def __init__(self, config: MgcaConfig, pairs: Pairs) -> None:
        plan, training = pairs.plan, config.training
        refuse_large_input(plan.size, 1, "network.size", training.batch_size)
        temperature = config.objective.token_temperature
        self.network = seeded_network(config, lambda: make_network(plan, config.network, temperature))
        self.objective = MgcaObjective(self.network, config.objective)
        known = (pairs.parts.training, pairs.texts, pairs.tokenizer, plan)
        self.samples = PairSamples(*known, config.sampling, training.seed)
        self.validation = PairValidation(pairs, config)
        self.validates = len(self.validation.studies) > 1

    def after_step(self, step: int) -> None:
        """Bring prototypes back to length 1."""
        self.objective.after_step()

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return what `PairValidation` measures."""
        return self.validation.measure(network)
