"""Words and regions of the same pair, each told by what it attends to in the other (MGCA, §3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from scanweave.systems.mgca.network import Read, Seen


def token_loss(seen: Seen, read: Read, temperature: float) -> Tensor:
    """Return the loss of words and the loss of regions, summed; each a mean of both directions and over pairs.

    A word attends to the regions of its film, softmax(cos / τ); what it gathers is to be more like this word than like
    the report's other words, and the reverse. Words weigh as `Read.weights` says, regions all the same. Where words
    are absent nothing attends to them and nothing is compared with them; a report without any counts 0.

    Args:
        seen: Films.
        read: Their reports.
        temperature: τ of attention and of the comparison.
    """
    cosines = torch.einsum("bwd,bmd->bwm", read.words, seen.regions) / temperature
    gathered = torch.einsum("bwm,bmd->bwd", cosines.softmax(dim=2), seen.regions)
    of_words = _choices(read.words, F.normalize(gathered, dim=-1), read.there, temperature)
    absent = ~read.there.unsqueeze(-1)
    some = read.there.any(dim=1)
    nowhere = absent & some[:, None, None]  # of a report without a word nothing is left out, and nothing counts
    shares = cosines.masked_fill(nowhere, -torch.inf).softmax(dim=1)
    told = torch.einsum("bwm,bwd->bmd", shares, read.words)
    everywhere = torch.ones(seen.regions.shape[:2], dtype=torch.bool, device=seen.regions.device)
    of_regions = _choices(seen.regions, F.normalize(told, dim=-1), everywhere, temperature)
    return (of_words * read.weights).sum(dim=1).mean() + (of_regions.mean(dim=1) * some).mean()


def _choices(own: Tensor, other: Tensor, there: Tensor, temperature: float) -> Tensor:
    """Return the loss of taking each for its counterpart among those of its pair `(B, N)`; 0 where there is none."""
    scores = torch.einsum("bnd,bkd->bnk", own, other) / temperature
    losses = []
    for one in (scores, scores.transpose(1, 2)):
        kept = one.masked_fill((~there & there.any(dim=1, keepdim=True)).unsqueeze(1), -torch.inf)
        losses.append(kept.logsumexp(dim=2) - one.diagonal(dim1=1, dim2=2))
    return (torch.stack(losses).mean(dim=0)).masked_fill(~there, 0.0)
