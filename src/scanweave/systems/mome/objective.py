"""The loss of one step: the network's answers against what is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scanweave.framework.classification.loss import AnswerLoss
from scanweave.framework.classification.question import Kind
from scanweave.framework.classification.settings import LossSettings
from scanweave.systems.mome.network import MomeNetwork


class MomeObjective(nn.Module):
    """L = H(ŷ, y) + λ Σ_m H(ŷ_m, y), with H as in `AnswerLoss`, ŷ_m what modality m answers by itself.

    Without the second term a stem learns only by what reaches it through all layers, and late. Its sum is over the
    modalities that a sample has, its mean over the samples. After the auxiliary heads of mmFormer (Zhang et al., MICCAI
    2022).

    Args:
        network: What is trained; its settings hold λ.
        kind: One of several classes, or several findings.
        shares: Of each class, or how often each finding is there, in training.
        settings: Weights and smoothing.
    """

    def __init__(self, network: MomeNetwork, kind: Kind, shares: Sequence[float], settings: LossSettings) -> None:
        super().__init__()
        self.network, self.answers = network, AnswerLoss(kind, shares, settings)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`: of the batch of the network, `answer` and which of it is `known`; and its first term."""
        answers, known = batch["answer"], batch["known"]
        logits, alone = self.network.trained(batch)
        joint = self.answers(logits, answers, known)
        if not alone:
            return {"loss": joint}
        each = [self.answers(one, answers[rows], known[rows]) * len(rows) for one, rows in alone]
        helped = self.network.settings.evidence * torch.stack(each).sum() / len(answers)
        return {"loss": joint + helped, "joint": joint}
