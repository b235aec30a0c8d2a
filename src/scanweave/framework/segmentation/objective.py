"""The loss of one step: cross-entropy and soft Dice at several sizes (Isensee et al. 2021, deep supervision)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.segmentation_network import SegmentationNetwork

SMOOTH = 1e-5
"""Added to the voxels counted in Dice, so that a class that is nowhere gives no division by zero."""


class SegmentationObjective(nn.Module):
    """Cross-entropy minus soft Dice, finest output first, each coarser one with half the weight; the coarsest has none.

    Args:
        network: What is trained.
        exclusive: Whether structures exclude each other: softmax. Else each has a sigmoid, as the regions of nnU-Net.
    """

    def __init__(self, network: SegmentationNetwork, exclusive: bool = True) -> None:
        super().__init__()
        self.network, self.exclusive = network, exclusive
        count = len(network.output_strides)
        weights = [0.5**k for k in range(count)]
        if count > 1:
            weights[-1] = 0.0
        self.weights = [weight / sum(weights) for weight in weights]

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`, `entropy` and `dice_loss` (1 − soft Dice), both of the finest output."""
        outputs = self.network(batch["image"], batch["present"], deep=True)
        loss, finest = torch.zeros((), device=batch["image"].device), None
        for logits, weight, strides in zip(outputs, self.weights, self.network.output_strides, strict=True):
            if weight:
                target = _coarser(batch["mask"], strides)
                parts = self._parts(logits.float(), target)
                loss = loss + weight * (parts[0] + parts[1])
                finest = parts if finest is None else finest
        assert finest is not None  # noqa: S101 - the finest output has a weight
        return {"loss": loss, "entropy": finest[0].detach(), "dice_loss": finest[1].detach()}

    def _parts(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy and Dice of one output, in float32."""
        if self.exclusive:
            return F.cross_entropy(logits, target), dice_loss(logits, target)
        truth = target.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, truth), soft_dice_loss(logits.sigmoid(), truth)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 − soft Dice of structures that exclude each other.

    Args:
        logits: `(B, K + 1, …)`, the background first.
        target: Classes `(B, …)`, 0 for background.
    """
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:]
    return soft_dice_loss(logits.float().softmax(dim=1)[:, 1:], truth)


def soft_dice_loss(shares: Tensor, truth: Tensor) -> Tensor:
    """Return 1 − the mean over structures of soft Dice, its sums taken over the whole batch (in float32).

    Args:
        shares: Probabilities `(B, K, …)`.
        truth: Where each structure is `(B, K, …)`.
    """
    truth = truth.to(shares.dtype)
    over = [0, *range(2, shares.ndim)]
    common = (shares * truth).sum(over)
    both = shares.sum(over) + truth.sum(over)
    return 1 - ((2 * common + SMOOTH) / (both + SMOOTH)).mean()


def _coarser(target: Tensor, strides: Sequence[int]) -> Tensor:
    """Return every so many voxels of a mask `(B, …)` or `(B, K, …)`."""
    voxels: tuple[Any, ...] = (..., *(slice(None, None, step) for step in strides))
    return target[voxels]
