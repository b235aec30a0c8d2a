"""Sizes that networks ask of their input, and how large they are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def padded(x: Tensor, stride: int) -> Tensor:
    """Return `(B, C, H, W)` with its last row and column repeated until `stride` divides H and W."""
    rows, columns = x.shape[-2:]
    below, right = -rows % stride, -columns % stride
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
