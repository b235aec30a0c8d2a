"""Learning task that Classify hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from scanweave.framework.classification.validation import binary_truths, validated
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.classify.config import ClassifyConfig
from scanweave.systems.classify.inference import Classifier
from scanweave.systems.classify.network import make_network
from scanweave.systems.classify.objective import ClassifyObjective
from scanweave.systems.classify.planning import ClassifyPlan
from scanweave.systems.classify.samples import StudySamples


class ClassifyTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: The question and the input.
        training: Prepared training studies, and what is known of them.
        validation: Likewise; may be none.
    """

    monitor = "auroc"

    def __init__(
        self,
        config: ClassifyConfig,
        plan: ClassifyPlan,
        training: tuple[Sequence[CachedStudy], NDArray[np.float64]],
        validation: tuple[Sequence[CachedStudy], NDArray[np.float64]],
    ) -> None:
        self.plan, self.config, self.validation = plan, config, validation
        self.validates = bool(validation[0])
        refuse_large_input(plan.size, len(plan.scans), "network.size", config.training.batch_size)
        self.network = seeded_network(config, lambda: make_network(plan, config.network))
        self.objective = ClassifyObjective(self.network, plan.kind, plan.shares, config.loss)
        self.samples = StudySamples(*training, plan, config.sampling, config.training.seed)
        if not any(len(set(known.tolist())) > 1 for known in binary_truths(validation[1], plan)):
            self.monitor, self.higher_is_better = "log loss", False  # there is no AUROC of one class

    def sample_classes(self) -> Sequence[str] | None:
        """Return the classes; None: findings, of which several may be there."""
        return self.plan.outputs if self.plan.kind == "classes" else None

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return log loss and mean AUROC, of each class against the others or of each finding."""
        studies, answers = self.validation
        if not studies:
            return None
        if not isinstance(network, ClassificationNetwork):
            raise TypeError(f"a ClassificationNetwork is validated, not a {type(network).__name__}")
        shares = Classifier(network, self.plan, self.config.sampling.crop).probabilities(
            {name: study.volume(name)[:] for name in study.names} for study in studies
        )
        return validated(answers, shares, self.plan)
