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


def soft_pair_loss(
    scores: Tensor, right: Tensor, likeness: Tensor, share: Tensor | float, temperature: float
) -> Tensor:
    """Return the sum of both directions of InfoNCE whose right answers go in part to similar pairs.

    T = (1 − λ) R + λ softmax(S / τ): with λ = 0 that of `pair_loss`. Rows of R are divided by their sums.

    Args:
        scores: Similarities over their temperature, `(B, Q)`: of image i and report j; and, likewise, of report i and
            image j, as a second matrix: `(2, B, Q)`. Q may hold more pairs than the batch.
        right: R, which pairs belong together, booleans `(B, Q)`.
        likeness: S, of the reports `(B, Q)`; at most 1.
        share: λ.
        temperature: τ.
    """
    rows = right.to(scores.dtype)
    target = (1 - share) * rows / rows.sum(dim=1, keepdim=True) + share * (likeness / temperature).softmax(dim=1)
    return torch.stack([F.cross_entropy(one, target) for one in scores]).sum()


def equal_keys(keys: Tensor) -> Tensor:
    """Return which samples have the same key `(B,)`, booleans `(B, B)`: reports of equal words belong to each other."""
    return keys[:, None] == keys[None, :]
