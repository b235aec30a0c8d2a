"""A fitted FreeTumor: the last segmentor, and the generator and the judge before it."""

from __future__ import annotations

from functools import cached_property

import torch

from scanweave.engine.stages import STAGES
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.segmentation.fitted import FittedSegmentation
from scanweave.framework.segmentation.network import make_network
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.studies.preparing.plan import Plan
from scanweave.systems.freetumor.config import FreeTumorConfig
from scanweave.systems.freetumor.looks import FILE, Looks
from scanweave.systems.freetumor.network import Generator
from scanweave.systems.freetumor.plan import TumourPlan

JUDGE, GENERATOR, SEGMENTOR = "judge", "generator", "segmentor"
"""Names of the stages."""
REACH_HU = 425.0
"""Largest change where the settings say none: FreeTumor's window from −175 to 250 HU."""


class FittedFreeTumor(FittedSegmentation[FreeTumorConfig]):
    """A fitted FreeTumor; see `FittedSegmentation`."""

    config_class = FreeTumorConfig
    plan_class = TumourPlan

    @property
    def scan(self) -> str:
        """Name of the scan that tumours are put into."""
        return self.scans[0]

    @property
    def unit(self) -> float:
        """Size of 1 HU as prepared."""
        return hounsfield_unit(self.plan, self.scan)

    @property
    def reach(self) -> float:
        """Largest change of the generator, as prepared."""
        return largest_change(self.plan, self.scan, self.config)

    @cached_property
    def looks(self) -> Looks:
        """Real tumours of the training studies."""
        return Looks.load(self.run.folder / FILE)

    @cached_property
    def generator(self) -> Generator:
        """The generator, ready.

        Raises:
            ScanweaveError: The run has none.
        """
        if not self.config.uses_generator:
            reason = f"has no generator: its tumours are {self.config.synthesis.source}"
            raise ScanweaveError(self.run.folder, reason, "Name a run of another preset, or give --rules")
        path = self.run.folder / STAGES / f"{GENERATOR}.safetensors"
        made = with_weights(Generator(self.config.generator), path)
        return made.to(self.device).eval().requires_grad_(False)

    @cached_property
    def judge(self) -> SegmentationNetwork | None:
        """The first segmentor, ready; None: the run has none."""
        if not self.config.uses_judge:
            return None
        sizes = len(self.scans), self.target.outputs, self.config.network.first_channels
        with torch.random.fork_rng(devices=[]):
            network = make_network(self.segmenter.plan, *sizes)
        made = with_weights(network, self.run.folder / STAGES / f"{JUDGE}.safetensors")
        return made.to(self.device).eval().requires_grad_(False)


def hounsfield_unit(plan: Plan, scan: str) -> float:
    """Return what 1 HU is as prepared."""
    return 1 / plan.rule(scan).deviation


def largest_change(plan: Plan, scan: str, config: FreeTumorConfig) -> float:
    """Return the largest change of a generator, as prepared."""
    return (config.generator.reach or REACH_HU) * hounsfield_unit(plan, scan)
