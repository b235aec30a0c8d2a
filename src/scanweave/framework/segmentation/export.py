"""The network of a fitted segmentation as it goes into a file: windows of prepared scans in, probabilities out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.augment.crops import central_crop
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.framework.predicting import known_scans
from scanweave.framework.segmentation.exported import PRESENT, SHARES, WINDOWS, channels_of
from scanweave.framework.segmentation.fitted import FittedSegmentation
from scanweave.framework.segmentation.target import FILE as TARGET
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.study import Study


class WindowShares(nn.Module):
    """Map windows and which scans are there to the probability of each structure.

    Args:
        network: Ready to predict.
        exclusive: Whether structures exclude each other.
    """

    def __init__(self, network: SegmentationNetwork, exclusive: bool) -> None:
        super().__init__()
        self.network, self.exclusive = network, exclusive

    def forward(self, present: Tensor, windows: Tensor) -> Tensor:
        """Map booleans `(C,)` and `(B, C, *window)` to `(B, K, *window)`."""
        logits: Tensor = self.network(windows, present.expand(windows.shape[0], -1))
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()


def graph_of(run: FittedSegmentation[Any]) -> Graph:
    """Return the network of a run on windows; how they cover a study is told beside it."""
    design, inference = run.segmenter.plan, run.config.inference
    window = design.patch[: design.dimensions]

    def feeds(study: Study) -> Feeds:
        volumes = dict(prepare(known_scans(study, run.scans), run.plan).volumes)
        image, there = channels_of(volumes, run.scans)
        if design.dimensions == 2:
            image = image[..., image.shape[-1] // 2]
        crop = central_crop(image.shape[1:], window)
        return {PRESENT: there, WINDOWS: np.ascontiguousarray(crop.read(image)[None], np.float32)}

    return Graph(
        WindowShares(run.segmenter.network, run.target.exclusive),
        {PRESENT: torch.ones(len(run.scans), dtype=torch.bool), WINDOWS: torch.zeros(2, len(run.scans), *window)},
        (SHARES,),
        feeds,
        {WINDOWS: {0: "windows"}},
        targets=run.target.masks,
        plans={PLAN: run.plan.model_dump(mode="json"), TARGET: run.target.model_dump(mode="json")},
        settings={
            "window": list(window),
            "overlap": inference.overlap,
            "batch": inference.batch,
            "mirrored": list(design.mirrored) if inference.mirror else [],
        },
    )
