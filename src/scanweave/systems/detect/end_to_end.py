"""D-FINE and RT-DETR of transformers: boxes without anchors, proposals and suppression, matched one to one.

D-FINE: Y. Peng et al., 2024, arXiv 2410.13842; RT-DETR: Y. Zhao et al., CVPR 2024, arXiv 2304.08069. Nothing is
downloaded: weights are random, or a local file of the published ones (`start.source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.systems.detect.config import NetworkSettings
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.planning import DetectPlan
from scanweave.systems.detect.scores import image_scores
from scanweave.systems.detect.targets import FilmTargets, Found

CLASSES = {"d-fine": "DFine", "rt-detr": "RTDetr"}
"""Beginning of the names of its classes in transformers."""
STRIDES = (8, 16, 32)
"""Pixels of the input for a place of each of its levels."""
COLOURS = 3
"""Channels of its input; a grey film is shown three times, so that published weights fit."""


class EndToEndDetector(Detector):
    """Run a detector of transformers on films `(B, C, H, W)`.

    Args:
        plan: Classes and channels.
        settings: Which detector, and how many boxes it looks for (`proposals`).

    Raises:
        ScanweaveError: transformers is not installed, or more boxes are looked for than the input has places.
    """

    def __init__(self, plan: DetectPlan, settings: NetworkSettings) -> None:
        super().__init__()
        places = sum((plan.size[0] // stride) * (plan.size[1] // stride) for stride in STRIDES)
        if settings.proposals > places:
            reason = f"{settings.proposals}, and an input of {plan.size[0]}×{plan.size[1]} has {places} places"
            raise ScanweaveError("network.proposals", reason, "Lower it, or enlarge network.size")
        library, name = require("transformers", "detect"), CLASSES[settings.detector]
        config = getattr(library, f"{name}Config")(
            num_labels=len(plan.outputs), num_queries=settings.proposals, freeze_backbone_batch_norms=False
        )
        self.settings = settings
        self.model: Any = getattr(library, f"{name}ForObjectDetection")(config)

    def losses(self, images: Tensor, targets: Sequence[FilmTargets]) -> dict[str, Tensor]:
        """Return `boxes`, the detector's own loss of the films whose boxes are all there, and `label` of the others.

        Args:
            images: `(B, C, H, W)`.
            targets: What is known of each.
        """
        pixels, size = _coloured(images), images.shape[2:]
        whole = [place for place, film in enumerate(targets) if film.complete]
        others = [place for place, film in enumerate(targets) if not film.complete]
        nothing = images.new_zeros(())
        boxes = label = nothing
        if whole:
            told = [_told(targets[place], size) for place in whole]
            boxes = self.model(pixel_values=pixels[whole], labels=told).loss * (len(whole) / len(images))
        if others:
            logits = self.model(pixel_values=pixels[others]).logits
            label = sum((_by_label(row, targets[place]) for place, row in zip(others, logits, strict=True)), nothing)
            label = label / len(images)
        return {"boxes": boxes, "label": label}

    def forward(self, images: Tensor) -> tuple[list[Found], Tensor]:
        """Return what is found in each film, and its score for each class `(B, K)`."""
        made = self.model(pixel_values=_coloured(images))
        scores = made.logits.sigmoid()
        height, width = images.shape[2:]
        edges = scores.new_tensor([width, height, width, height])
        corners = (box_convert(made.pred_boxes, "cxcywh", "xyxy") * edges).clamp(min=0)
        found = [self._kept(*film, edges) for film in zip(corners, scores, strict=True)]
        return found, image_scores(found, scores.amax(dim=1), self.settings.image_score)

    def embed(self, images: Tensor) -> Tensor:
        """Return the mean of the backbone's last feature `(B, D)`."""
        pixels = _coloured(images)
        features = self.model.model.backbone(pixels, torch.ones_like(pixels[:, 0], dtype=torch.long))
        return torch.as_tensor(features[-1][0]).mean(dim=(2, 3))

    def _kept(self, boxes: Tensor, scores: Tensor, edges: Tensor) -> Found:
        values, order = scores.flatten().sort(descending=True, stable=True)
        order = order[values > self.settings.least_score][: self.settings.most_boxes]
        queries, names = order // scores.shape[1], order % scores.shape[1]
        return Found(torch.minimum(boxes[queries], edges), scores.flatten()[order], names)


def _coloured(images: Tensor) -> Tensor:
    return images if images.shape[1] == COLOURS else images.expand(-1, COLOURS, -1, -1)


def _told(film: FilmTargets, size: Sequence[int]) -> dict[str, Tensor]:
    """Return the boxes of a film as transformers counts them: middle, width and height as shares of the film."""
    edges = film.boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return {"class_labels": film.classes, "boxes": box_convert(film.boxes / edges, "xyxy", "cxcywh")}


def _by_label(logits: Tensor, film: FilmTargets) -> Tensor:
    """Return the cross-entropy of the classes whose answer is known, by the highest of `logits (Q, K)`."""
    if not bool(film.known.any()):
        return logits.sum() * 0.0
    highest = logits.amax(dim=0)[film.known]
    return F.binary_cross_entropy_with_logits(highest, film.answers[film.known], reduction="sum")
