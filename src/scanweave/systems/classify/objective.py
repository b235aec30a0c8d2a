"""The loss of one step: cross-entropy of classes, or of each finding where it is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.systems.classify.config import LossSettings
from scanweave.systems.classify.question import Kind


class ClassifyObjective(nn.Module):
    """Cross-entropy; findings whose label is absent take no part.

    Args:
        network: What is trained.
        kind: One of several classes, or several findings.
        shares: Of each class, or how often each finding is there, in training.
        settings: Weights and smoothing.
    """

    weights: Tensor

    def __init__(
        self, network: ClassificationNetwork, kind: Kind, shares: Sequence[float], settings: LossSettings
    ) -> None:
        super().__init__()
        self.network, self.kind, self.smoothing = network, kind, settings.label_smoothing
        self.register_buffer("weights", _weights(kind, shares, settings.class_weights == "balanced"), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`: of `image`, `present`, `answer` and which of it is `known`."""
        logits = self.network(batch["image"], batch["present"]).float()
        if self.kind == "classes":
            target = batch["answer"][:, 0].long()
            loss = F.cross_entropy(logits, target, self.weights, label_smoothing=self.smoothing)
            return {"loss": loss}
        known = batch["known"].to(logits.dtype)
        truth = batch["answer"] * (1 - self.smoothing) + self.smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        each = each * torch.where(batch["answer"] > 0.5, self.weights[1], self.weights[0])
        return {"loss": (each * known).sum() / known.sum().clamp(min=1)}


def _weights(kind: Kind, shares: Sequence[float], balanced: bool) -> Tensor:
    """Weight of each class `(K,)`, or of the absence and presence of each finding `(2, K)`; on average 1 in training.

    A class, or a side of a finding, that no training study has gets no weight: there is nothing to weigh.
    """
    share = torch.tensor(shares)
    sides = share if kind == "classes" else torch.stack([1 - share, share])
    if not balanced:
        return torch.ones_like(sides)
    return torch.where(sides > 0, 1 / (len(sides) * sides.clamp(min=1e-12)), torch.zeros(()))
