"""The loss that brings pairs together and others apart: InfoNCE, with one right answer or several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pair_loss(scores: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return the sum of both directions of InfoNCE (van den Oord et al. 2018; Zhang et al., ConVIRT 2020).

    L = CE(S, T) + CE(Sᵀ, Tᵀ), each a mean over rows, with the rows of T and Tᵀ divided by their sums.

    Args:
        scores: Similarities over the temperature, `(B, B)`: of image i and report j.
        targets: How much i and j belong together, at least 0, symmetric in kind `(B, B)`; None: i with i alone.
    """
    if targets is None:
        own = torch.arange(len(scores), device=scores.device)
        return F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)
    there = targets.to(scores.dtype)
    rows, columns = there / there.sum(dim=1, keepdim=True), there.T / there.T.sum(dim=1, keepdim=True)
    return F.cross_entropy(scores, rows) + F.cross_entropy(scores.T, columns)


def equal_keys(keys: Tensor) -> Tensor:
    """Return which samples have the same key `(B,)`, booleans `(B, B)`: reports of equal words belong to each other."""
    return keys[:, None] == keys[None, :]
