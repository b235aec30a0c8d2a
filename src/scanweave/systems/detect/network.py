"""CheXDet: an encoder, a BiFPN, proposals, and a head on each (L. Luo et al., Radiology: AI 2022, figure 2).

Proposals, anchors, RoIAlign, matching and suppression are torchvision's. The class branch has a sigmoid for each class,
not one softmax over all: findings lie on each other, and of some films the truth of some classes alone is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from scanweave.errors import ScanweaveError
from scanweave.nets.encoders import Encoder, make_encoder
from scanweave.systems.detect.bifpn import BiFPN
from scanweave.systems.detect.config import NetworkSettings
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.head import FindingHead
from scanweave.systems.detect.planning import STRIDES, DetectPlan
from scanweave.systems.detect.targets import FilmTargets, Found, on_ignored

RPN_IOU = (0.7, 0.3)
"""IoU from which an anchor is a finding, and below which it is none (Ren et al., Faster R-CNN, NeurIPS 2015)."""
RPN_SAMPLED, RPN_SHARE, RPN_OVERLAP = 256, 0.5, 0.7
"""Anchors of a film that teach, the share on findings, and the IoU of proposals from which the lower goes; likewise."""


class Proposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision has no types
    """Torchvision's proposals, to which films whose boxes are not all there teach findings alone."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return 1, 0 or −1 (takes no part) of each anchor, and the box that it is nearest to, by film."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for own, places, film in zip(labels, anchors, targets, strict=True):
            unsure = on_ignored(places, film["ignored"]) if bool(film["complete"]) else torch.ones_like(own) > 0
            own[unsure & (own == 0)] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of whether and where; 0 where no film of the batch teaches."""
        if not any(bool((one >= 0).any()) for one in labels):
            nothing = 0.0 * (objectness.sum() + pred_bbox_deltas.sum())
            return nothing, nothing
        made: tuple[Tensor, Tensor] = super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)
        return made


class CheXDet(Detector):
    """Find boxes in films `(B, C, H, W)` whose edges are multiples of 64.

    Args:
        plan: Classes, channels, anchors.
        settings: Encoder, widths, proposals.

    Raises:
        ScanweaveError: There is no such encoder, or it has no features of a 4th to a 32nd of the film's edge.
    """

    def __init__(self, plan: DetectPlan, settings: NetworkSettings) -> None:
        super().__init__()
        self.encoder: Any = _encoder(plan, settings)
        self.taps = _taps(self.encoder, settings.encoder)
        channels = [self.encoder.channels[tap] for tap in self.taps]
        self.pyramid = BiFPN(channels, settings.pyramid_width, settings.pyramid_layers)
        anchors = AnchorGenerator(
            tuple((plan.anchor_scale * stride,) for stride in STRIDES), (plan.anchor_ratios,) * len(STRIDES)
        )
        kept = {"training": settings.training_proposals, "testing": settings.proposals}
        head = RPNHead(settings.pyramid_width, len(plan.anchor_ratios))
        self.proposals = Proposals(anchors, head, *RPN_IOU, RPN_SAMPLED, RPN_SHARE, kept, kept, RPN_OVERLAP)
        self.head = FindingHead(len(plan.outputs), settings)

    def losses(self, images: Tensor, targets: Sequence[FilmTargets]) -> dict[str, Tensor]:
        """Return the losses of a batch by name: those of proposals are means over anchors, the head's over films.

        Args:
            images: `(B, C, H, W)`.
            targets: What is known of each.
        """
        levels, sizes, listed = self._levels(images)
        told = [{"boxes": film.boxes, "ignored": film.ignored, "complete": film.looked.all()} for film in targets]
        with torch.autocast(images.device.type, enabled=False):
            proposed, losses = self.proposals(listed, levels, told)
        objectness, place = losses["loss_objectness"], losses["loss_rpn_box_reg"]
        return {"proposal": objectness, "proposal box": place} | self.head.losses(levels, proposed, sizes, targets)

    def forward(self, images: Tensor) -> tuple[list[Found], Tensor]:
        """Return what is found in each film, and its score for each class `(B, K)`."""
        levels, sizes, listed = self._levels(images)
        with torch.autocast(images.device.type, enabled=False):
            proposed, _ = self.proposals(listed, levels)
        found: tuple[list[Found], Tensor] = self.head(levels, proposed, sizes)
        return found

    def embed(self, images: Tensor) -> Tensor:
        """Return the mean of the encoder's last feature `(B, D)`."""
        return torch.as_tensor(self.encoder(images)[-1]).mean(dim=(2, 3))

    def _levels(self, images: Tensor) -> tuple[dict[str, Tensor], list[tuple[int, int]], ImageList]:
        features = self.encoder(images)
        made = self.pyramid([features[tap] for tap in self.taps])
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        # places are counted in the type of a level: half precision has no half pixels from 512 on
        return {f"p{number}": level.float() for number, level in enumerate(made, 2)}, sizes, ImageList(images, sizes)


def _encoder(plan: DetectPlan, settings: NetworkSettings) -> Encoder:
    options = {"width": settings.encoder_width} if settings.encoder.startswith("resnet") else {}
    return make_encoder(settings.encoder, plan.channels, 2, **options)


def _taps(encoder: Encoder, name: str) -> list[int]:
    """Return the places of the features at a 4th, an 8th, a 16th and a 32nd of the film's edge."""
    places = {strides: place for place, strides in enumerate(encoder.strides)}
    wanted = [(stride, stride) for stride in STRIDES[:-1]]
    if not all(one in places for one in wanted):
        there = ", ".join(str(strides[0]) for strides in encoder.strides)
        reason = f"has features at strides {there}, where 4, 8, 16 and 32 are needed"
        raise ScanweaveError(f"encoder {name}", reason, "Choose another, such as resnet18")
    return [places[one] for one in wanted]
