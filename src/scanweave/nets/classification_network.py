"""A classification network: encoder, pooling, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.encoders import Encoder
from scanweave.nets.heads import ClassificationHead, Pooling
from scanweave.nets.present_stem import present_only


class ClassificationNetwork(nn.Module):
    """Join any encoder and a classification head on its coarsest feature.

    Scans are channels of one image; or, with `views`, images of their own that share no space, such as a frontal and a
    lateral film: each goes through the same encoder of one channel, and the pooled features of those that are present
    are averaged. Absent ones reach no number of the network either way.

    Start weights address the parts by name: `encoder`, `head`.

    Args:
        encoder: Maps images to features.
        classes: Logits K.
        dropout: Rate at which pooled features are dropped in training.
        pooling: How the feature is pooled over voxels.
        views: Whether scans are views rather than channels.

    Raises:
        ScanweaveError: The encoder is no module.
    """

    def __init__(
        self, encoder: Encoder, classes: int, dropout: float = 0.0, pooling: Pooling = "mean", views: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise ScanweaveError(type(encoder).__name__, "is no torch module", "Give an encoder that is one")
        self.encoder, self.views = encoder, views
        self.head = ClassificationHead(encoder.channels[-1], classes, dropout, pooling)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` to logits `(B, K)`; `present` `(B, C)` is True where a scan was acquired."""
        return self.answer(self.feature(x, present), x, present)

    def embed(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` to the pooled feature `(B, width of the head)`."""
        return self.pooled(self.feature(x, present), x, present)

    def feature(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map `(B, C, [D,] H, W)` to the coarsest feature of each study, or of each view that is present, in order."""
        made: Tensor = self.encoder(_views(x, present) if self.views else present_only(x, present))[-1]
        return made

    def pooled(self, feature: Tensor, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map what `feature` made of `x` to one vector a study `(B, width of the head)`."""
        each = self.head.pool(feature)
        if not self.views:
            return each
        there = _there(x, present)
        laid = each.new_zeros((*there.shape, each.shape[1]))
        laid[there] = each
        return laid.sum(dim=1) / there.sum(dim=1, keepdim=True)

    def answer(self, feature: Tensor, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Map what `feature` made of `x` to logits `(B, K)`."""
        return self.head.answer(self.pooled(feature, x, present))


def _there(x: Tensor, present: Tensor | None) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if present is None else present


def _views(x: Tensor, present: Tensor | None) -> Tensor:
    """The views that are present `(N, 1, [D,] H, W)`."""
    there = _there(x, present)
    if not bool(there.any(dim=1).all()):
        raise ScanweaveError(
            "present", "a sample has no view at all", "Leave out studies in which every scan is absent"
        )
    return x[there].unsqueeze(1)
