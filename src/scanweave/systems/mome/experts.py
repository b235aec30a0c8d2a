"""Layers of a transformer with experts: an adapter for each modality, and a soft mixture over all tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth


class Attention(nn.Module):
    """Self-attention with a norm before its last projection, as BEiT-3 has (Wang et al., CVPR 2023).

    Args:
        width: Of a token D.
        heads: They part the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.inner_norm, self.out = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Map tokens `(B, n, D)` to as many; those that are not `there` `(B, n)` are seen by none."""
        query, key, value = (self._parted(one(x)) for one in (self.query, self.key, self.value))
        made = F.scaled_dot_product_attention(query, key, value, None if there is None else there[:, None, None])
        mapped: Tensor = self.out(self.inner_norm(made.transpose(1, 2).flatten(2)))
        return mapped

    def _parted(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a norm before the second, as BEiT-3 has.

    Args:
        width: Of a token D.
        hidden: Between the layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.inner_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(…, D)` to the same shape."""
        mapped: Tensor = self.second(self.inner_norm(F.gelu(self.first(x))))
        return mapped


class SoftMixture(nn.Module):
    """Soft mixture of experts (Puigcerver et al., ICLR 2024): every slot is a mean of tokens, every token one of slots.

    Args:
        width: Of what it maps d.
        experts: Number E.
        slots: Of each expert S.
    """

    def __init__(self, width: int, experts: int, slots: int) -> None:
        super().__init__()
        self.experts = experts
        self.phi = nn.Parameter(torch.empty(width, experts * slots))
        self.weight = nn.Parameter(torch.empty(experts, width, width))
        self.bias = nn.Parameter(torch.zeros(experts, 1, width))
        nn.init.normal_(self.phi, std=width**-0.5)
        nn.init.normal_(self.weight, std=width**-0.5)

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Map `(B, n, d)` to the same shape; tokens that are not `there` `(B, n)` take no part in a slot."""
        dispatch, combine = self.shares(x, there)
        slots = dispatch.transpose(1, 2) @ x
        each = slots.view(len(x), self.experts, -1, x.shape[-1])
        made = (each @ self.weight + self.bias).flatten(1, 2)
        return combine @ made

    def shares(self, x: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return how slots are made of tokens, and tokens of slots, each `(B, n, E·S)`.

        Columns of the first and rows of the second are 1 together.
        """
        logits = x @ self.phi
        masked = logits if there is None else logits.masked_fill(~there[..., None], float("-inf"))
        return masked.softmax(1), logits.softmax(2)


class Adapter(nn.Module):
    """Narrow branch beside a feed-forward layer, let in by a gate that begins at 0.

    The published code has no gate but a last linear layer of zeros before a norm: after one update the norm takes the
    branch to its full size at once.

    Args:
        width: Of a token D.
        narrow: Width in between.
        mixture: Between its layers, if any.
    """

    def __init__(self, width: int, narrow: int, mixture: SoftMixture | None = None) -> None:
        super().__init__()
        self.down, self.up, self.norm = nn.Linear(width, narrow), nn.Linear(narrow, width), nn.LayerNorm(width)
        self.mixture, self.gate = mixture, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Map `(B, n, D)` to the same shape."""
        narrow = F.gelu(self.down(x))
        if self.mixture is not None:
            narrow = self.mixture(narrow, there)
        return self.gate * self.norm(self.up(narrow))


class Layer(nn.Module):
    """Attention, then a feed-forward layer with one adapter of several beside it.

    Args:
        width: Of a token D.
        heads: Of the attention.
        hidden: Width of the feed-forward layer.
        adapters: By name.
        drop_path: Rate at which a branch is skipped in training.
    """

    def __init__(self, width: int, heads: int, hidden: int, adapters: dict[str, Adapter], drop_path: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.feed_norm, self.feed = nn.LayerNorm(width), FeedForward(width, hidden)
        self.adapters, self.skip = nn.ModuleDict(adapters), StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor, there: Tensor | None, adapter: str) -> Tensor:
        """Map `(B, n, D)` to the same shape.

        Args:
            x: Tokens.
            there: Which of them are there `(B, n)`; None: all.
            adapter: Name of the one that these tokens go through.
        """
        x = x + self.skip(self.attention(self.attention_norm(x), there))
        normed = self.feed_norm(x)
        made: Tensor = x + self.skip(self.feed(normed) + self.adapters[adapter](normed, there))
        return made

    def backbone(self) -> Sequence[nn.Module]:
        """Return its parts that pre-trained weights may fill; the adapters are not among them."""
        return self.attention_norm, self.attention, self.feed_norm, self.feed
