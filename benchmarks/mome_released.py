"""MOME's network in the form of its released code (github.com/LLYXC/MOME), for `mome_speed`.

Written from its description. One stream of all tokens, the answer's at the head of the first modality's; every
projection, norm and feed-forward layer is there three times, once for each modality, and tokens are split and joined
again around each; attention writes out the scores of all pairs of tokens, to which the layers of one modality alone add
a mask. Stems are convolutions, instance norms, rectifiers and a maximum.

Otherwise than released, so that outputs can be equal: adapters are ours, with the gate; the answer's token sees itself
alone before the soft layers, and has an adapter of its own there; the norms of stems have scales, as ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.mome.experts import Layer
from scanweave.systems.mome.network import ANSWER, JOINT, MomeNetwork
from scanweave.systems.mome.stems import Stem


class Multiway(nn.Module):
    """A copy of a module for each modality.

    Args:
        module: What is copied.
        count: Of modalities.
    """

    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.copies = nn.ModuleList(deepcopy(module) for _ in range(count))

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Map tokens `(B, N, …)`, those of each modality by its copy."""
        parts = x.split(list(lengths), dim=1)
        return torch.cat([copy(part) for copy, part in zip(self.copies, parts, strict=True)], dim=1)


class ReleasedLayer(nn.Module):
    """A layer whose attention writes out all scores.

    Args:
        layer: Ours, whose weights it copies.
        count: Of modalities.
    """

    def __init__(self, layer: Layer, count: int) -> None:
        super().__init__()
        attention = layer.attention
        self.heads = attention.heads
        self.attention_norm, self.feed_norm = (Multiway(one, count) for one in (layer.attention_norm, layer.feed_norm))
        self.query, self.key, self.value, self.inner_norm, self.out = (
            Multiway(one, count)
            for one in (attention.query, attention.key, attention.value, attention.inner_norm, attention.out)
        )
        self.feed, self.adapters = Multiway(layer.feed, count), deepcopy(layer.adapters)

    def forward(self, x: Tensor, lengths: Sequence[int], mask: Tensor) -> Tensor:
        """Map tokens `(B, N, D)`, the answer's first, to as many.

        Args:
            x: Tokens.
            lengths: How many each modality has; the answer's is counted to the first.
            mask: Added to the scores `(N, N)`; read only where layers are of one modality alone.
        """
        x = x + self.attend(self.attention_norm(x, lengths), lengths, mask)
        normed = self.feed_norm(x, lengths)
        return x + self.feed(normed, lengths) + self.adapted(normed, lengths)

    def attend(self, x: Tensor, lengths: Sequence[int], mask: Tensor) -> Tensor:
        """Map normed tokens by attention."""
        query, key, value = (self._parted(one(x, lengths)) for one in (self.query, self.key, self.value))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        if JOINT not in self.adapters:
            scores += mask
        seen = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        mapped: Tensor = self.out(self.inner_norm(seen, lengths), lengths)
        return mapped

    def adapted(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Map normed tokens by the adapters."""
        if JOINT in self.adapters:
            made: Tensor = self.adapters[JOINT](x, None)
            return made
        parts = x.split([1, lengths[0] - 1, *lengths[1:]], dim=1)
        names = [ANSWER, *map(str, range(len(lengths)))]
        return torch.cat([self.adapters[name](part, None) for name, part in zip(names, parts, strict=True)], dim=1)

    def _parted(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ReleasedNetwork(nn.Module):
    """The released form of one of our networks, of whole images alone; its trained parameters have our names.

    Args:
        ours: The network whose weights it copies.
    """

    def __init__(self, ours: MomeNetwork) -> None:
        super().__init__()
        self.stems = deepcopy(ours.stems)
        self.layers = nn.ModuleList(
            ReleasedLayer(layer, len(ours.stems)) for layer in ours.layers if isinstance(layer, Layer)
        )
        self.answer, self.norm, self.head = deepcopy(ours.answer), deepcopy(ours.norm), deepcopy(ours.head)

    def embed(self, images: Sequence[Tensor]) -> Tensor:
        """Map an image of each modality `(B, C, Z, Y, X)` to what the head reads `(B, D)`."""
        made = [tokens(stem, x) for stem, x in zip(self.stems, images, strict=True) if isinstance(stem, Stem)]
        x = torch.cat([self.answer.expand(len(made[0]), 1, -1), *made], dim=1)
        lengths = [one.shape[1] for one in made]
        mask = apart([1, *lengths])
        lengths[0] += 1
        for layer in self.layers:
            x = layer(x, lengths, mask)
        normed: Tensor = self.norm(x[:, 0])
        return normed


def tokens(stem: Stem, x: Tensor) -> Tensor:
    """Map images to tokens `(B, n, D)` by the weights of a stem."""
    for convolution, norm in zip(stem.convolutions, stem.norms, strict=True):
        x = F.relu(F.instance_norm(convolution(x), weight=norm.weight, bias=norm.bias))
    return F.max_pool3d(x, 3, 2, 1).flatten(2).transpose(1, 2) + stem.positions.flatten(0, -2)


def apart(lengths: Sequence[int]) -> Tensor:
    """Return what is added to the scores `(N, N)`: 0 within a part, minus infinity between parts."""
    part = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    return torch.zeros(len(part), len(part)).masked_fill_(part[:, None] != part, float("-inf"))
