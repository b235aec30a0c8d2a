"""Learning tasks that FreeTumor hands to the engine: generator and discriminator, and the segmentor on mixed scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from scanweave.engine.task import Player
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.framework.segmentation.task import SegmentationTask
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.freetumor.config import FreeTumorConfig
from scanweave.systems.freetumor.network import Frozen, Generator, Inserter, make_discriminator
from scanweave.systems.freetumor.objective import GeneratorObjective, MixedObjective
from scanweave.systems.freetumor.samples import TumourSamples


class GeneratorTask(NetworkTask):
    """Train a generator against a discriminator, before a judge; the last weights count.

    Args:
        config: All settings.
        samples: Crops with tumours to put in.
        judge: The segmentor of the stage before.
        reach: Largest change, as prepared.
    """

    validates = False
    monitor = "generator"
    higher_is_better = False

    def __init__(self, config: FreeTumorConfig, samples: TumourSamples, judge: nn.Module, reach: float) -> None:
        settings = config.generator
        seeded = config.model_copy(update={"training": settings.training})
        self.network, self.samples = seeded_network(seeded, lambda: Generator(settings)), samples
        self.discriminator = seeded_network(seeded, lambda: make_discriminator(settings))
        self.objective = GeneratorObjective(
            Inserter(self.network, reach), self.discriminator, Frozen(judge), settings, config.synthesis.accepted
        )

    def players(self) -> Mapping[str, Player]:
        """Return both sides."""
        return {
            "generator": Player(self.network.parameters(), "generator"),
            "discriminator": Player(self.discriminator.parameters(), "discriminator"),
        }

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return nothing: no measure of a generator by itself says what it is good for."""
        return None


class MixedTask(SegmentationTask):
    """Train a segmentor on real crops and on healthy ones with made tumours.

    Args:
        config: All settings.
        plan: How studies are made ready.
        target: The tumour.
        design: What the network looks like.
        training: Prepared training studies.
        validation: Prepared studies with a drawn mask; may be none.
        samples: Crops with tumours to put in.
        inserter: Puts them in.
        judge: Decides which count; None: all do.
    """

    def __init__(
        self,
        config: FreeTumorConfig,
        plan: Plan,
        target: SegmentationTarget,
        design: NetworkPlan,
        training: Sequence[CachedStudy],
        validation: Sequence[CachedStudy],
        *,
        samples: TumourSamples,
        inserter: Inserter,
        judge: nn.Module | None,
    ) -> None:
        super().__init__(config, plan, target, design, training, validation)
        self.objective = MixedObjective(
            self.network, inserter, None if judge is None else Frozen(judge), config.synthesis
        )
        self.samples = samples
