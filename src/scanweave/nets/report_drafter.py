"""A transformer decoder that writes a report piece by piece, looking at the places of an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEED_FORWARD = 4
"""Width of the layers between attention, in widths of the decoder (Vaswani et al., NeurIPS 2017)."""


class ReportDrafter(nn.Module):
    """Tell the next piece of a report from those before it and from an image.

    Args:
        channels: Of a place of the image C.
        pieces: Size of the vocabulary.
        width: Of the decoder.
        layers: Of it.
        heads: Of their attention.
        most: Most pieces of a report.
        padding: Number of the piece that says nothing.
        dropout: Rate in training.
    """

    def __init__(
        self,
        channels: int,
        pieces: int,
        width: int,
        *,
        layers: int,
        heads: int,
        most: int,
        padding: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.padding, self.most = padding, most
        self.seen = nn.Linear(channels, width)
        self.pieces = nn.Embedding(pieces, width)
        self.positions = nn.Parameter(torch.randn(most, width) * 0.02)
        layer = nn.TransformerDecoderLayer(
            width, heads, FEED_FORWARD * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        self.score = nn.Linear(width, pieces)

    def forward(self, ids: Tensor, places: Tensor) -> Tensor:
        """Return scores of the piece after each `(B, L, V)`.

        Args:
            ids: Numbers of pieces from the first one on `(B, L)`.
            places: Of images `(B, C, M)`.
        """
        length = ids.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=ids.device).triu(1)
        x = self.pieces(ids) + self.positions[:length]
        made: Tensor = self.score(self.layers(x, self.seen(places.transpose(1, 2)), tgt_mask=later))
        return made

    def loss(self, ids: Tensor, places: Tensor) -> Tensor:
        """Return the mean cross-entropy of the pieces of reports; padding is not asked for."""
        longest = max(2, int((ids != self.padding).sum(dim=1).max()))
        ids = ids[:, :longest]
        scores = self(ids[:, :-1], places).float()
        return F.cross_entropy(scores.transpose(1, 2), ids[:, 1:], ignore_index=self.padding)

    def draft(self, places: Tensor, first: int, last: int) -> list[int]:
        """Return the pieces of a report on one image, each the likest one, without the first and the last.

        Args:
            places: `(1, C, M)`.
            first: Number of the piece that a report begins with.
            last: Number of the piece that it ends with.
        """
        ids = torch.tensor([[first]], device=places.device)
        while ids.shape[1] < self.most:
            following = self(ids, places)[0, -1]
            following[[first, self.padding]] = -torch.inf
            piece = int(following.argmax())
            if piece == last:
                break
            ids = torch.cat([ids, torch.tensor([[piece]], device=ids.device)], dim=1)
        found: list[int] = ids[0, 1:].tolist()
        return found
