"""Learning task that Segment hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.framework.segmentation.inference import Segmenter
from scanweave.framework.segmentation.network import make_network
from scanweave.framework.segmentation.objective import SegmentationObjective
from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.framework.segmentation.samples import PatchSamples
from scanweave.framework.segmentation.settings import SegmentationConfig
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.measures.segmentation import overlap
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.prepared_cache import CachedStudy


class SegmentationTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: How studies are made ready.
        target: What is outlined.
        design: What the network looks like.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
    """

    monitor = "dice"

    def __init__(
        self,
        config: SegmentationConfig,
        plan: Plan,
        target: SegmentationTarget,
        design: NetworkPlan,
        training: Sequence[CachedStudy],
        validation: Sequence[CachedStudy],
    ) -> None:
        seed = config.training.seed
        self.scans, self.target, self.config, self.design = plan.scans, target, config, design
        sizes = len(self.scans), target.outputs, config.network.first_channels
        refuse_large_input(design.patch, len(self.scans), "network.patch", design.batch)
        self.network = seeded_network(config, lambda: make_network(design, *sizes))
        self.objective = SegmentationObjective(self.network, target.exclusive)
        self.samples = PatchSamples(training, self.scans, target, design, config.sampling, config.augmentation, seed)
        self.validation = list(validation)[: config.sampling.validation_studies]
        self.validates = bool(self.validation)

    def whole_pass(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """Return the outputs at all sizes."""
        return network(*inputs, deep=True)

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return the mean Dice over structures and validation studies, without mirrored views."""
        if not self.validation:
            return None
        if not isinstance(network, SegmentationNetwork):
            raise TypeError(f"a SegmentationNetwork is validated, not a {type(network).__name__}")
        settings = self.config.inference.model_copy(update={"mirror": False})
        segmenter = Segmenter(network, self.scans, self.design, settings, self.target.exclusive)
        values = []
        for study in self.validation:
            made = self.target.called(segmenter.probabilities({name: study.volume(name)[:] for name in study.names}))
            truth = self.target.planes([study.mask(name)[:] for name in self.target.masks])
            values += [overlap(*pair, (1.0, 1.0, 1.0)).dice for pair in zip(truth, made, strict=True)]
        return {"dice": float(np.mean(values))}
