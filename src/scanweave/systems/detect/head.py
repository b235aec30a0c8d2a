"""The head on each proposal: RoIAlign, four convolutions, and a branch each for class and box (CheXDet, figure 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder
from torchvision.ops import MultiScaleRoIAlign, batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes

from scanweave.systems.detect.config import NetworkSettings
from scanweave.systems.detect.scores import image_scores, label_loss
from scanweave.systems.detect.targets import FilmTargets, Found, on_ignored

CONVOLUTIONS, GRID, SAMPLING = 4, 7, 2
"""Convolutions, the grid that RoIAlign reads, and points of each of its cells along an axis."""
POOLED = ("p2", "p3", "p4", "p5")
"""Levels that RoIAlign reads, as in FPN."""
LEAST_IOU, SHARE, BETA = 0.5, 0.25, 1 / 9
"""IoU from which a proposal is a finding, share of findings that teach, bend of the box loss: torchvision's."""
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Of the coded boxes, likewise."""
PRIOR = 0.02
"""Score of an untaught class branch (Lin et al., RetinaNet, ICCV 2017, section 4.1, has 0.01)."""
GROUPS = 16
"""Of the norms, at most; batches of proposals differ between training and use, groups of channels do not."""
LEAST_EDGE = 1e-2
"""Of a box [pixels]."""


class FindingHead(nn.Module):
    """Tell class and box of each proposal.

    Args:
        classes: How many, K.
        settings: Widths, and how many boxes are told.
    """

    def __init__(self, classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.classes, self.settings = classes, settings
        self.pool = MultiScaleRoIAlign(list(POOLED), GRID, SAMPLING)
        layers: list[nn.Module] = []
        for number in range(CONVOLUTIONS):
            width = settings.head_width
            layers += [
                nn.Conv2d(width if number else settings.pyramid_width, width, 3, padding=1, bias=False),
                nn.GroupNorm(max(count for count in range(1, GROUPS + 1) if width % count == 0), width),
                nn.ReLU(inplace=True),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.score = nn.Linear(settings.head_width * GRID**2, classes)
        self.box = nn.Linear(settings.head_width * GRID**2, 4 * classes)
        for branch, deviation in ((self.score, 0.01), (self.box, 0.001)):
            nn.init.normal_(branch.weight, std=deviation)
            nn.init.zeros_(branch.bias)
        nn.init.constant_(self.score.bias, math.log(PRIOR / (1 - PRIOR)))
        self.coder = BoxCoder(BOX_WEIGHTS)
        self.sampler = BalancedPositiveNegativeSampler(settings.sampled, SHARE)

    def losses(
        self,
        levels: Mapping[str, Tensor],
        proposed: Sequence[Tensor],
        sizes: list[tuple[int, int]],
        targets: Sequence[FilmTargets],
    ) -> dict[str, Tensor]:
        """Return `class`, `box` and `label`, the losses of the head.

        A class counts on the proposals of a film where all of its boxes are known; elsewhere its label does, by the
        highest proposal, as in learning from bags.

        Args:
            levels: Of the pyramid, by name.
            proposed: Boxes of each film `(P, 4)`, the likeliest first.
            sizes: Height and width of each film.
            targets: What is known of each.
        """
        chosen = [self._chosen(boxes, film) for boxes, film in zip(proposed, targets, strict=True)]
        boxes = [one for one, _, _ in chosen]
        logits, deltas = self._told(levels, boxes, sizes)
        counts = [len(one) for one in boxes]
        parts = zip(torch.split(logits, counts), torch.split(deltas, counts), chosen, targets, strict=True)
        told = [self._film_losses(*part) for part in parts]
        return {name: torch.stack([one[name] for one in told]).mean() for name in ("class", "box", "label")}

    def forward(
        self, levels: Mapping[str, Tensor], proposed: Sequence[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[list[Found], Tensor]:
        """Return the boxes of each film, and its score for each class `(B, K)`.

        Args:
            levels: As in `losses`.
            proposed: As there.
            sizes: As there.
        """
        logits, deltas = self._told(levels, proposed, sizes)
        counts = [len(one) for one in proposed]
        scores = torch.split(logits.sigmoid(), counts)
        boxes = torch.split(self._decoded(deltas, torch.cat(list(proposed))), counts)
        found = [self._kept(*one) for one in zip(boxes, scores, sizes, strict=True)]
        nothing = logits.new_zeros(self.classes)
        highest = torch.stack([one.amax(dim=0) if len(one) else nothing for one in scores])
        return found, image_scores(found, highest, self.settings.image_score)

    def _told(
        self, levels: Mapping[str, Tensor], boxes: Sequence[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Return logits `(P, K)` and coded boxes `(P, K, 4)` of the proposals of all films."""
        pooled = self.convolutions(self.pool(dict(levels), list(boxes), sizes)).flatten(1)
        return self.score(pooled).float(), self.box(pooled).view(len(pooled), self.classes, 4).float()

    def _chosen(self, proposed: Tensor, film: FilmTargets) -> tuple[Tensor, Tensor, Tensor]:
        """Return the proposals of a film that teach `(S, 4)`, what they are `(S, K)` and their boxes `(S, K, 4)`.

        True boxes are proposals too. Where the label of a class alone is known the likeliest proposals teach, so that
        the highest of them is among these.
        """
        with torch.no_grad():
            proposed = torch.cat([film.boxes, proposed])
            truth, boxes = assigned(proposed, film, self.classes)
            on_finding = truth.amax(dim=1)
            on_finding[on_ignored(proposed, film.ignored) & (on_finding == 0)] = -1
            some, none = (side[0].bool() for side in self.sampler([on_finding]))
            if bool(film.by_label.any()):
                none = torch.arange(len(proposed), device=proposed.device) < self.settings.sampled
            kept = (some | none).nonzero()[:, 0]
        return proposed[kept], truth[kept], boxes[kept]

    def _film_losses(
        self, logits: Tensor, deltas: Tensor, chosen: tuple[Tensor, Tensor, Tensor], film: FilmTargets
    ) -> dict[str, Tensor]:
        proposals, truth, boxes = chosen
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        right = (truth > 0) & film.looked
        number = max(1, len(proposals))
        place = deltas.sum() * 0.0
        if bool(right.any()):
            rows, names = right.nonzero(as_tuple=True)
            wanted = self.coder.encode_single(boxes[rows, names], proposals[rows])
            place = F.smooth_l1_loss(deltas[rows, names], wanted, beta=BETA, reduction="sum")
        told = {"class": (each * film.looked).sum() / number, "box": place / number}
        return told | {"label": label_loss(logits, film)}

    def _decoded(self, deltas: Tensor, proposals: Tensor) -> Tensor:
        """Return boxes `(P, K, 4)` from coded ones."""
        many = proposals[:, None].expand(-1, self.classes, 4).reshape(-1, 4)
        made: Tensor = self.coder.decode_single(deltas.reshape(-1, 4), many)
        return made.view(-1, self.classes, 4)

    def _kept(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> Found:
        """Return the boxes that are told: above the least score, not on a higher one of their class, not too many."""
        names = torch.arange(self.classes, device=boxes.device).expand_as(scores)
        flat, values, names = clip_boxes_to_image(boxes, size).reshape(-1, 4), scores.reshape(-1), names.reshape(-1)
        own = (values > self.settings.least_score).nonzero()[:, 0]
        own = own[remove_small_boxes(flat[own], LEAST_EDGE)]
        own = own[batched_nms(flat[own].float(), values[own].float(), names[own], self.settings.overlap)]
        own = own[: self.settings.most_boxes]
        return Found(flat[own], values[own], names[own])


def assigned(proposals: Tensor, film: FilmTargets, classes: int) -> tuple[Tensor, Tensor]:
    """Return whether each proposal is on a finding of each class `(P, K)`, and its box of that class `(P, K, 4)`.

    Args:
        proposals: `(P, 4)`.
        film: Its boxes.
        classes: How many, K.
    """
    truth = proposals.new_zeros(len(proposals), classes)
    boxes = proposals[:, None].repeat(1, classes, 1)
    for name in torch.unique(film.classes).tolist():
        own = film.boxes[film.classes == name]
        overlap, place = box_iou(own, proposals).max(dim=0)
        truth[:, name] = (overlap >= LEAST_IOU).to(truth.dtype)
        boxes[:, name] = own[place]
    return truth, boxes
