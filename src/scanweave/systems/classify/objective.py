"""The loss of one step: the network's answers against what is known."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scanweave.framework.classification.loss import AnswerLoss
from scanweave.framework.classification.question import Kind
from scanweave.framework.classification.settings import LossSettings
from scanweave.nets.classification_network import ClassificationNetwork


class ClassifyObjective(nn.Module):
    """Cross-entropy of images; see `AnswerLoss`.

    Args:
        network: What is trained.
        kind: One of several classes, or several findings.
        shares: Of each class, or how often each finding is there, in training.
        settings: Weights and smoothing.
    """

    def __init__(
        self, network: ClassificationNetwork, kind: Kind, shares: Sequence[float], settings: LossSettings
    ) -> None:
        super().__init__()
        self.network, self.answers = network, AnswerLoss(kind, shares, settings)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`: of `image`, `present`, `answer` and which of it is `known`."""
        logits = self.network(batch["image"], batch["present"])
        return {"loss": self.answers(logits, batch["answer"], batch["known"])}
