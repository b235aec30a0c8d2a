"""The loss of answers: cross-entropy of classes, or of each finding where it is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.classification.question import Kind
from scanweave.framework.classification.settings import LossSettings


class AnswerLoss(nn.Module):
    """Cross-entropy; findings whose label is absent take no part.

    Args:
        kind: One of several classes, or several findings.
        shares: Of each class, or how often each finding is there, in training.
        settings: Weights and smoothing.
    """

    weights: Tensor

    def __init__(self, kind: Kind, shares: Sequence[float], settings: LossSettings) -> None:
        super().__init__()
        self.kind, self.smoothing = kind, settings.label_smoothing
        self.register_buffer("weights", _weights(kind, shares, settings.class_weights == "balanced"), persistent=False)

    def forward(self, logits: Tensor, answer: Tensor, known: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: `(B, K)`.
            answer: Numbers of classes `(B, 1)`, or findings `(B, K)`.
            known: Which of it is known, of the same shape.
        """
        logits = logits.float()
        if self.kind == "classes":
            return F.cross_entropy(logits, answer[:, 0].long(), self.weights, label_smoothing=self.smoothing)
        there = known.to(logits.dtype)
        truth = answer * (1 - self.smoothing) + self.smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        each = each * torch.where(answer > 0.5, self.weights[1], self.weights[0])
        return (each * there).sum() / there.sum().clamp(min=1)


def _weights(kind: Kind, shares: Sequence[float], balanced: bool) -> Tensor:
    """Weight of each class `(K,)`, or of the absence and presence of each finding `(2, K)`; on average 1 in training.

    A class, or a side of a finding, that no training study has gets no weight: there is nothing to weigh.
    """
    share = torch.tensor(shares)
    sides = share if kind == "classes" else torch.stack([1 - share, share])
    if not balanced:
        return torch.ones_like(sides)
    return torch.where(sides > 0, 1 / (len(sides) * sides.clamp(min=1e-12)), torch.zeros(()))
