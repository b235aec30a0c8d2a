"""A layer of a transformer in which tokens of one kind attend to each other, and to tokens of another kind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEED_FORWARD = 4
"""Width of the layers between attention, in widths of a token (Vaswani et al., NeurIPS 2017)."""


class GuidedLayer(nn.Module):
    """x + self-attention, + attention to the guide, + feed-forward; a norm before each.

    Args:
        width: Numbers of a token D.
        heads: Of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(width, heads, batch_first=True)
        self.other = nn.MultiheadAttention(width, heads, batch_first=True)
        self.forward_layers = nn.Sequential(
            nn.Linear(width, FEED_FORWARD * width), nn.GELU(), nn.Linear(FEED_FORWARD * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, x: Tensor, guide: Tensor, absent: Tensor | None = None, guide_absent: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens `(B, N, D)`, and how much each attends to each of the guide `(B, N, M)`.

        Args:
            x: Tokens `(B, N, D)`.
            guide: Tokens of the other kind `(B, M, D)`.
            absent: Which of x are padding `(B, N)`; None: none.
            guide_absent: Of the guide, likewise `(B, M)`. Of a guide that is all padding nothing is taken.
        """
        first, second, third = self.norms
        y = first(x)
        x = x + self.own(y, y, y, key_padding_mask=absent, need_weights=False)[0]
        silent = None if guide_absent is None else guide_absent.all(dim=1)
        if guide_absent is not None and silent is not None:
            guide_absent = guide_absent & ~silent[:, None]  # else attention would be NaN
        taken, weights = self.other(second(x), guide, guide, key_padding_mask=guide_absent)
        if silent is not None:
            taken = torch.where(silent[:, None, None], 0.0, taken)
        x = x + taken
        return x + self.forward_layers(third(x)), weights
