"""The loss of one step: the network's answers against what is known."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scanweave.framework.classification.loss import AnswerLoss
from scanweave.framework.classification.question import Kind
from scanweave.framework.classification.settings import LossSettings
from scanweave.systems.mome.network import MomeNetwork


class MomeObjective(nn.Module):
    """Cross-entropy of studies; see `AnswerLoss`.

    Args:
        network: What is trained.
        kind: One of several classes, or several findings.
        shares: Of each class, or how often each finding is there, in training.
        settings: Weights and smoothing.
    """

    def __init__(self, network: MomeNetwork, kind: Kind, shares: Sequence[float], settings: LossSettings) -> None:
        super().__init__()
        self.network, self.answers = network, AnswerLoss(kind, shares, settings)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`: of the batch of the network, `answer` and which of it is `known`."""
        return {"loss": self.answers(self.network(batch), batch["answer"], batch["known"])}
