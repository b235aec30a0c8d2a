"""Two encoders and four heads: films and reports, regions and words, in one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.reported.pair_plan import PairPlan
from scanweave.framework.reported.text_network import drafter_of, text_encoder_of
from scanweave.framework.whole_images.encoder import encoder_of
from scanweave.nets.encoders import Encoder
from scanweave.nets.heads import ProjectionHead
from scanweave.nets.report_drafter import ReportDrafter
from scanweave.nets.text_encoder import TextEncoder, summed_words
from scanweave.systems.mgca.config import NetworkSettings

TAILS = (0.1, 0.9)
"""Quantiles of a report's words that their weights are kept within, as in the released code."""


class Seen(NamedTuple):
    """Films in the common space; all of length 1.

    Attributes:
        film: `(B, d)`.
        regions: `(B, M, d)`, rows of places one after the other.
        places: How many rows and columns of them there are.
        last: The encoder's last feature at each place, of any length `(B, C, N)`; what a report is written from.
    """

    film: Tensor
    regions: Tensor
    places: tuple[int, ...]
    last: Tensor | None = None


class Read(NamedTuple):
    """Reports in the common space; all of length 1.

    Attributes:
        report: `(B, d)`.
        words: `(B, W, d)`, 0 where there is none.
        weights: Of each word, which sum to 1 over a report `(B, W)`.
        there: Which words there are, booleans `(B, W)`.
    """

    report: Tensor
    words: Tensor
    weights: Tensor
    there: Tensor


class MgcaNetwork(nn.Module):
    """Map films and reports, regions and words to one space (Wang et al., NeurIPS 2022, §3).

    Start weights address the parts by name: `encoder`, `text`, the heads.

    Args:
        encoder: Of films `(B, 1, Y, X)`.
        text: Of reports.
        settings: Sizes of the heads.
        temperature: Of attention between words and regions.
        drafter: Writes reports from the places of the encoder's last feature; None: nothing does.
    """

    def __init__(
        self,
        encoder: Encoder,
        text: TextEncoder,
        settings: NetworkSettings,
        temperature: float = 0.1,
        drafter: ReportDrafter | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.encoder, self.text = encoder, text
        self.local = -1 if settings.regions == "last" or len(encoder.channels) < 2 else -2
        self.film_head = _head(encoder.channels[-1], settings)
        self.region_head = _head(encoder.channels[self.local], settings)
        self.report_head, self.word_head = _head(text.width, settings), _head(text.width, settings)
        self.drafter = drafter
        self.prototypes = nn.Parameter(F.normalize(torch.randn(settings.prototypes, settings.embedding), dim=1))

    def look(self, films: Tensor) -> Seen:
        """Map films `(B, 1, Y, X)`."""
        features = self.encoder(films)
        local = features[self.local]
        regions = local.flatten(2).transpose(1, 2)
        return Seen(
            self.film_head(features[-1].flatten(2).mean(2)),
            self.region_head(regions.flatten(0, 1)).view(*regions.shape[:2], -1),
            tuple(local.shape[2:]),
            features[-1].flatten(2),
        )

    def read(self, ids: Tensor, words: Tensor) -> Read:
        """Map reports: numbers of pieces `(B, L)`, and the word that each belongs to, below 0 where it is none."""
        made = self.text(ids)
        summed, there = summed_words(made.states, words)
        flat = self.word_head(summed[there])  # padding is no word, also to the norms of the head
        told = flat.new_zeros((*there.shape, flat.shape[-1]))
        told[there] = flat
        with torch.no_grad():
            weights = word_weights(summed_words(made.attention.unsqueeze(-1), words)[0][..., 0], there)
        return Read(self.report_head(made.first), told, weights, there)

    def images(self, x: Tensor) -> Tensor:
        """Return the vectors `(B, d)` of films `(B, 1, Y, X)`."""
        made: Tensor = self.film_head(self.encoder(x)[-1].flatten(2).mean(2))
        return made

    def places(self, x: Tensor) -> Tensor:
        """Return what the vector of a film would be if it looked like one of its places everywhere `(B, d, Y, X)`."""
        last = self.encoder(x)[-1]
        made: Tensor = self.film_head(last.flatten(2).transpose(1, 2).flatten(0, 1))
        return made.view(len(x), *last.shape[2:], -1).movedim(-1, 1)

    def reports(self, pieces: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors `(B, d)` of reports; pieces as `Tokens` names them."""
        return self.read(pieces["ids"], pieces["words"]).report

    def draft(self, several: Sequence[Tensor], first: int, last: int) -> list[int]:
        """Return the pieces of a report on the films of one study, each `(1, 1, Y, X)`; none without a drafter."""
        places = torch.cat([self.encoder(one)[-1].flatten(2) for one in several], dim=2)
        return [] if self.drafter is None else self.drafter.draft(places, first, last)

    def attention(self, x: Tensor, pieces: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return where each word of a report is looked for in a film `(W, Y, X)`, and the words' weights `(W,)`."""
        seen, read = self.look(x), self.read(pieces["ids"], pieces["words"])
        cosines = torch.einsum("wd,md->wm", read.words[0], seen.regions[0]) / self.temperature
        return cosines.softmax(dim=1).view(-1, *seen.places), read.weights[0]


def _head(width: int, settings: NetworkSettings) -> ProjectionHead:
    return ProjectionHead(width, settings.embedding, settings.hidden, norm_out=True)


def word_weights(attention: Tensor, there: Tensor) -> Tensor:
    """Return the weight of each word: attention within its report's 10th to 90th percentile, over their sum.

    Args:
        attention: Of the report's first piece to each word `(B, W)`.
        there: Which words there are `(B, W)`.
    """
    known = attention.float().masked_fill(~there, torch.nan)
    low, high = (known.nanquantile(share, dim=1, keepdim=True) for share in TAILS)
    kept = known.clamp(low, high).nan_to_num(0.0)
    return kept / kept.sum(dim=1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny)


def make_network(plan: PairPlan, settings: NetworkSettings, temperature: float) -> MgcaNetwork:
    """Return the network with random weights.

    Args:
        plan: Its films and reports.
        settings: Encoder and heads.
        temperature: Of attention between words and regions.

    Raises:
        ScanweaveError: There is no such encoder, or a library is not installed.
    """
    text = text_encoder_of(plan)
    encoder = encoder_of(plan, settings, 1)
    return MgcaNetwork(encoder, text, settings, temperature, drafter_of(plan, encoder.channels[-1]))
