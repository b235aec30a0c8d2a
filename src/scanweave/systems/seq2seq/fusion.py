"""Fusion of what is there: weights of the sources by what is given and what is asked, and by place (spec g, TSF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scanweave.systems.seq2seq.hyperconv import HyperConv, Kernel

Levels = Sequence[Tensor]
"""Features of one sequence, `(B, F_l, [d,] h, w)` from fine to coarse; the last is the latent."""


class Fused(NamedTuple):
    """Features of several sequences made one.

    Attributes:
        levels: As of one sequence.
        weights: Weight of each given sequence in the latent by its number, `(B, 1, [d,] h, w)`; 1 together.
    """

    levels: list[Tensor]
    weights: dict[int, Tensor]


class SourceFusion(nn.Module):
    """z = Σ_i w_i f_i over the given sources i, w = softmax_i(p_i(S, t) + a_i).

    The prior p depends on which sources S are given and on the target t (the task code of TSF-Seq2Seq, Han et al. 2023,
    arXiv 2307.00885); the attention a is a 1 × 1 HyperConv of the features, driven by the target, so that a lesion can
    be taken from the source that shows it. Absent sources take no part, and sources are added up in the order of their
    numbers, so that neither an absent one nor the order can change a bit.

    Args:
        code_length: Length of a one-hot code.
        channels: Of each level, fine to coarse.
        rank: Kernels in the bank of an attention.
        dimensions: 2 or 3 spatial axes.
    """

    def __init__(self, code_length: int, channels: Sequence[int], rank: int, dimensions: int) -> None:
        super().__init__()
        self.code_length = code_length
        self.prior = nn.ModuleList(nn.Linear(2 * code_length, code_length) for _ in channels)
        self.attention = nn.ModuleList(
            HyperConv(code_length, width, 1, kernel_size=1, rank=rank, dimensions=dimensions) for width in channels
        )
        for linear in self.prior:  # all sources count alike at first
            nn.init.zeros_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        for layer in self.attention:
            nn.init.zeros_(layer.bank)  # type: ignore[arg-type]

    def forward(
        self, sources: Mapping[int, Levels], target: int, kernels: Sequence[Kernel], *, attended: bool = True
    ) -> Fused:
        """Fuse the sources.

        Args:
            sources: Features of those that are given, by number.
            target: Number of what is asked.
            kernels: Of the attention, made for the target.
            attended: Whether attention counts; False: the prior alone, the same at every voxel.
        """
        numbers = sorted(sources)
        levels: list[Tensor] = []
        weights = torch.empty(0)
        for level in range(len(self.prior)):
            features = {number: sources[number][level] for number in numbers}
            made, weights = self.at_level(level, features, target, kernels[level], attended=attended)
            levels.append(made)
        return Fused(levels, dict(zip(numbers, weights, strict=True)))

    def at_level(
        self, level: int, sources: Mapping[int, Tensor], target: int, kernel: Kernel, *, attended: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Fuse features of one size, and return them with the weight of each source, in the order of their numbers."""
        numbers = sorted(sources)
        features = [sources[number] for number in numbers]
        prior = self.prior[level](self._task(numbers, target))[numbers]
        scores = [score.view(1, *[1] * (features[0].ndim - 1)) for score in prior]
        if attended:
            scores = [s + _score(f, kernel) for s, f in zip(scores, features, strict=True)]
        weights = torch.softmax(torch.stack(scores), dim=0)
        made = weights[0] * features[0]
        for weight, feature in zip(weights[1:], features[1:], strict=True):
            made = made + weight * feature
        return made, weights

    def _task(self, given: Sequence[int], target: int) -> Tensor:
        """Return what is given and what is asked, `(2 · code_length,)`."""
        like = self.prior[0].weight
        code = torch.zeros(2 * self.code_length, dtype=like.dtype, device=like.device)  # type: ignore[arg-type]
        code[list(given)] = 1
        code[self.code_length + target] = 1
        return code


def _score(features: Tensor, kernel: Kernel) -> Tensor:
    """Return the 1 × 1 convolution to one channel, `(B, 1, [d,] h, w)`: as a sum, which a CPU does faster."""
    return (features * kernel.weight[0]).sum(1, keepdim=True) + kernel.bias[0]
