"""A fitted Segment: its network, and a study through it and back to the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.segment.config import SegmentConfig
from scanweave.systems.segment.inference import Segmenter, native_labels
from scanweave.systems.segment.network import make_network
from scanweave.systems.segment.planning import FILE, NetworkPlan


class FittedSegment(FittedRun[SegmentConfig]):
    """A fitted Segment; see `FittedRun`.

    Attributes:
        mask: Name of the label map that it makes.
        values: Its values.
        segmenter: The network, ready to segment whole studies.
    """

    config_class = SegmentConfig
    plan_class: ClassVar[type[Plan]] = Plan
    plan: Plan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        [(self.mask, self.values)] = self.plan.masks.items()
        self.scans = self.plan.sequences
        design = NetworkPlan.load(run.folder / FILE)
        network = make_network(design, len(self.scans), len(self.values) + 1, self.config.network.first_channels)
        self.segmenter = Segmenter(
            self.loaded(network, self.config.training), self.scans, design, self.config.inference
        )

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Segment a study from whatever scans of the run it has.

        Args:
            study: Holds at least one scan that the run knows.
            targets: The label map of the run, if anything.

        Returns:
            A study with the label map only, on the native grid of its reference scan.

        Raises:
            ScanweaveError: It holds no scan of the run, or a target is unknown.
        """
        if not self.wanted(targets, [self.mask]):
            return study.answer()
        known = study.only(self.scans)
        if not known.scans:
            names = ", ".join(self.scans)
            raise ScanweaveError(study.id, "holds no scan of this run", f"Give at least one of {names}")
        prepared = prepare(known.answer(scans=known.scans), self.plan)
        shares = self.segmenter.probabilities(dict(prepared.volumes))
        labels = native_labels(shares, self.values, prepared.frame, self.plan)
        made = Scan.of(np.asarray(labels), prepared.frame.native.affine, synthetic=True)
        return study.answer(masks={self.mask: made})
