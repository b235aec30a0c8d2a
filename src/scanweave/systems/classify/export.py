"""The network of a fitted Classify as it goes into a file: prepared scans in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.augment.crops import central_crop
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.framework.whole_images.reading import plane_order
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.studies.study import Study
from scanweave.systems.classify.exported import PRESENT, SHARES, feeds_of
from scanweave.systems.classify.fitted import FittedClassify
from scanweave.systems.classify.planning import FILE, ClassifyPlan

EXAMPLE_VOXELS = 61
"""Voxels of each axis of the example: a size that no network takes as it is."""


class WholeStudy(nn.Module):
    """Map the prepared scans of one study to the probability of each class or finding.

    Resizing and the central crop are part of it, so that a program that runs the file needs neither.

    Args:
        network: Ready to predict.
        plan: The question and the input.
        crop: Share of each axis that the network sees.
    """

    def __init__(self, network: ClassificationNetwork, plan: ClassifyPlan, crop: float) -> None:
        super().__init__()
        self.network, self.plan = network, plan
        self.size = [round(edge / crop) for edge in plan.size]
        self.first = central_crop(self.size, plan.size).start

    def forward(self, present: Tensor, *volumes: Tensor) -> Tensor:
        """Map booleans `(C,)` and scans `(X, Y, Z)`, absent ones of any size, to `(K,)`."""
        made = torch.stack([self._seen(volume) for volume in volumes])[None]
        there = present[None]
        shares: Tensor = self.plan.probabilities(self._logits(made, there))[0]
        return shares

    def _logits(self, image: Tensor, there: Tensor) -> Tensor:
        if not self.network.views:
            answer: Tensor = self.network(image, there)
            return answer
        each = self.network.head.pool(self.network.encoder(image[0].unsqueeze(1))[-1])
        kept = torch.where(there[0, :, None], each, torch.zeros(()))  # no value of an absent view is left
        return self.network.head.answer((kept.sum(dim=0) / there.sum())[None])

    def _seen(self, volume: Tensor) -> Tensor:
        """Return what the network sees of a prepared scan, `plan.size`."""
        plan, order = self.plan, plane_order(self.plan)
        image = torch.nan_to_num(volume).squeeze(plan.thin) if plan.thin is not None else torch.nan_to_num(volume)
        image = image.permute(*([1, 0] if plan.thin is not None else order))
        image = _resized(image, self.size)
        for axis, (start, count) in enumerate(zip(self.first, plan.size, strict=True)):
            image = image.narrow(axis, max(start, 0), count)
        return image


def _resized(image: Tensor, size: list[int]) -> Tensor:
    """Return an image `([Z,] Y, X)` at a size by `augment.resizing`, without a branch on its own size."""
    if image.ndim == 2:
        return _plane(image[None, None], size)[0, 0]
    planes = _plane(image[None], size[1:])[0]  # (Z, y, x): Z channels of one image
    return _plane(planes.transpose(0, 1)[None], [size[0], size[2]])[0].transpose(0, 1)


def _plane(images: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def graph_of(run: FittedClassify) -> Graph:
    """Return the network of a run with its input from prepared scans."""
    plan: ClassifyPlan = run.plan
    shape = [1 if axis == plan.thin else EXAMPLE_VOXELS for axis in range(3)]
    inputs = {PRESENT: torch.ones(len(plan.scans), dtype=torch.bool)}
    inputs |= {name: torch.zeros(shape) for name in plan.scans}
    moving = {name: {axis: f"{name}_{'xyz'[axis]}" for axis in range(3) if axis != plan.thin} for name in plan.scans}

    def feeds(study: Study) -> Feeds:
        return feeds_of(dict(run.prepared(study).volumes), plan)

    return Graph(
        WholeStudy(run.classifier.network, plan, run.config.sampling.crop),
        inputs,
        (SHARES,),
        feeds,
        moving,
        targets=plan.labels,
        plans={FILE: plan.model_dump(mode="json"), PLAN: run.preparation.model_dump(mode="json")},
    )
