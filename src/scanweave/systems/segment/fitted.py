"""A fitted Segment: its network, and a study through it and back to the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from scanweave.engine.run import Run
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.scan_preparation import known_scans
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.segment.config import SegmentConfig
from scanweave.systems.segment.inference import Segmenter, native_masks
from scanweave.systems.segment.network import make_network
from scanweave.systems.segment.planning import FILE, NetworkPlan
from scanweave.systems.segment.target import open_target


class FittedSegment(FittedRun[SegmentConfig]):
    """A fitted Segment; see `FittedRun`.

    Attributes:
        target: The structures that it outlines, and the masks that show them.
        segmenter: The network, ready to segment whole studies.
    """

    config_class = SegmentConfig
    plan_class: ClassVar[type[Plan]] = Plan
    plan: Plan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.target = open_target(run.folder, self.plan.masks)
        self.scans = self.plan.scans
        design = NetworkPlan.load(run.folder / FILE)
        refuse_large_input(design.patch, len(self.scans), run.folder / FILE)
        sizes = len(self.scans), self.target.outputs, self.config.network.first_channels
        loaded = self.loaded(lambda: make_network(design, *sizes))
        self.segmenter = Segmenter(loaded, self.scans, design, self.config.inference, self.target.exclusive)

    @property
    def structures(self) -> dict[str, dict[str, list[int]]]:
        """Return the meaning of the numbers of each mask that it makes."""
        made: dict[str, dict[str, list[int]]] = {mask: {} for mask in self.target.masks}
        for structure in self.target.structures:
            made[structure.mask][structure.name] = list(structure.numbers)
        return made

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Segment a study from whatever scans of the run it has.

        Args:
            study: Holds at least one scan that the run knows.
            targets: Masks of the run; None: all.

        Returns:
            A study with the masks only, on the native grid of its reference scan.

        Raises:
            ScanweaveError: It holds no scan of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, self.target.masks)
        if not wanted:
            return study.answer()
        prepared = prepare(known_scans(study, self.scans), self.plan)
        frame, native = prepared.frame, prepared.frame.native
        shares = self.segmenter.probabilities(dict(prepared.volumes))
        made = native_masks(shares, self.target, wanted, frame, self.plan)
        masks = {name: Scan.of(data, native.affine, synthetic=True, space=native.space) for name, data in made.items()}
        return study.answer(masks=masks)
