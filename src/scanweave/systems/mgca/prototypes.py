"""Codes of samples over prototypes, balanced by Sinkhorn's rounds (Caron et al., SwAV, NeurIPS 2020)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def balanced_codes(scores: Tensor, sharpness: float, rounds: int) -> Tensor:
    """Return how much each sample belongs to each prototype `(B, K)`: rows sum to 1, columns are near B / K.

    Computed with logarithms, so that no score overflows, as exp(score / ε) does in the released code.

    Args:
        scores: Similarities `(B, K)`.
        sharpness: ε.
        rounds: Of balancing columns, then rows.
    """
    codes = scores / sharpness
    for _ in range(rounds):
        codes = codes - codes.logsumexp(dim=0, keepdim=True)
        codes = codes - codes.logsumexp(dim=1, keepdim=True)
    return codes.exp()


def swapped_loss(films: Tensor, reports: Tensor, temperature: float, sharpness: float, rounds: int) -> Tensor:
    """Return the mean of both directions of predicting the codes of one by the scores of the other.

    Args:
        films: Similarities of films to prototypes `(B, K)`.
        reports: Of their reports, likewise.
        temperature: Of a prediction.
        sharpness: See `balanced_codes`.
        rounds: Likewise.
    """
    sides = ((films, reports), (reports, films))
    each = [
        -(balanced_codes(told, sharpness, rounds) * (own / temperature).log_softmax(dim=1)).sum(dim=1).mean()
        for own, told in sides
    ]
    return torch.stack(each).mean()
