"""A fitted run that outlines structures: its network, and a study through it and back to the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.predicting import known_scans
from scanweave.framework.segmentation.inference import Segmenter
from scanweave.framework.segmentation.native_masks import native_masks
from scanweave.framework.segmentation.network import make_network
from scanweave.framework.segmentation.planning import FILE, NetworkPlan
from scanweave.framework.segmentation.settings import SegmentationConfig
from scanweave.framework.segmentation.target import open_target
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, prepare
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

C = TypeVar("C", bound=SegmentationConfig)


class FittedSegmentation(FittedRun[C], Generic[C]):
    """A fitted run that outlines structures; see `FittedRun`.

    Attributes:
        target: The structures that it outlines, and the masks that show them.
        segmenter: The network, ready to segment whole studies.
    """

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
        return self.target.numbers_of_masks

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
        return self.outlined(study, *self.segmented(study), wanted)

    def segmented(self, study: Study) -> tuple[NDArray[np.float32], Frame]:
        """Return the probability of each output `(K, X, Y, Z)` on the prepared grid, and how that lies in the native.

        Raises:
            ScanweaveError: The study holds no scan of the run.
        """
        prepared = prepare(known_scans(study, self.scans), self.plan)
        return self.segmenter.probabilities(dict(prepared.volumes)), prepared.frame

    def outlined(self, study: Study, shares: NDArray[np.float32], frame: Frame, masks: Sequence[str]) -> Study:
        """Return a study with the masks that follow from `segmented`."""
        made, native = native_masks(shares, self.target, masks, frame, self.plan), frame.native
        found = {name: Scan.of(data, native.affine, synthetic=True, space=native.space) for name, data in made.items()}
        return study.answer(masks=found)
