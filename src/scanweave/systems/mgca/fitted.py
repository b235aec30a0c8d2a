"""A fitted MGCA."""

from __future__ import annotations

from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.systems.mgca.config import MgcaConfig
from scanweave.systems.mgca.network import MgcaNetwork, make_network


class FittedMgca(FittedPairs[MgcaConfig]):
    """A fitted MGCA; see `FittedPairs`."""

    config_class = MgcaConfig

    @property
    def looks_for_words(self) -> bool:
        """Tell whether words and regions were aligned."""
        return self.config.objective.token > 0

    def new_network(self) -> MgcaNetwork:
        """Return its network with random weights."""
        return make_network(self.plan, self.config.network, self.config.objective.token_temperature)
