"""Two encoders, and layers in which volumes and reports meet: each fills in what is hidden of the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import log2
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.reported.pair_plan import PairPlan
from scanweave.framework.reported.text_network import drafter_of, text_encoder_of
from scanweave.framework.whole_images.encoder import encoder_of
from scanweave.nets.encoder_scales import feature_grids
from scanweave.nets.encoders import Encoder
from scanweave.nets.heads import ProjectionHead
from scanweave.nets.positions import grid_positions
from scanweave.nets.report_drafter import ReportDrafter
from scanweave.nets.text_encoder import TextEncoder, summed_words
from scanweave.systems.mg3d.config import NetworkSettings
from scanweave.systems.mg3d.guided_layer import GuidedLayer

NARROWEST = 16
"""Channels that the decoder of blocks has at least."""
CONDITIONED = 128
"""Length of what two sentences look at is compared by, as in the released code."""


class ReadReport(NamedTuple):
    """Reports as a network reads them.

    Attributes:
        vector: In the common space, of length 1 `(B, d)`.
        sentences: The mean of each sentence's pieces `(B, S, W)`, 0 where there is none.
        there: Which sentences there are, booleans `(B, S)`.
    """

    vector: Tensor
    sentences: Tensor
    there: Tensor


class BlockDecoder(nn.Module):
    """Map tokens on a grid to voxels: convolutions, each followed by an enlargement of two (after SwinUNETR's).

    The last enlargement is of the one channel that is made: it costs little, and blocks are larger than that.

    Args:
        width: Channels of a token.
        strides: Voxels of a token along each axis, powers of 2.
    """

    def __init__(self, width: int, strides: Sequence[int]) -> None:
        super().__init__()
        steps = max(1, round(log2(max(strides))))
        widths = [width, *(max(NARROWEST, width // 2**k) for k in range(1, steps))]
        self.factors = [tuple(2 if stride >= 2 ** (k + 1) else 1 for stride in strides) for k in reversed(range(steps))]
        self.convolutions = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(1, b) for b in widths[1:])
        self.last = nn.Conv3d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Map `(B, W, z, y, x)` to `(B, 1, Z, Y, X)` of a size."""
        for convolution, norm, factor in zip(self.convolutions, self.norms, self.factors, strict=False):
            x = F.gelu(norm(convolution(x)))
            x = F.interpolate(x, scale_factor=[float(one) for one in factor], mode="trilinear", align_corners=False)
        return F.interpolate(self.last(x), size=list(size), mode="trilinear", align_corners=False)


class Mg3dNetwork(nn.Module):
    """Map volumes and reports to one space, and fill in what is hidden of one by the other (arXiv 2412.05876).

    Start weights address the parts by name: `encoder`, `text`, and the rest.

    Args:
        encoder: Of volumes `(B, 1, Z, Y, X)`.
        text: Of reports.
        settings: Sizes of what follows them.
        drafter: Writes reports from the tokens of a volume; None: nothing does.
    """

    def __init__(
        self, encoder: Encoder, text: TextEncoder, settings: NetworkSettings, drafter: ReportDrafter | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.text = encoder, text
        width = settings.fusion_width
        coarse = settings.regions == "last" or len(encoder.channels) < 2
        self.levels = (-1,) if coarse else (-2, -1)
        self.from_levels = nn.ModuleList(nn.Linear(encoder.channels[level], width) for level in self.levels)
        self.from_text = nn.Linear(text.width, width)
        self.volume_head, self.report_head = (
            ProjectionHead(width, settings.embedding, settings.hidden, norm="layer") for _ in range(2)
        )
        self.sentence_score = nn.Linear(width, 1)
        self.kinds = nn.Parameter(torch.zeros(2, width))
        self.filling, self.guessing = (
            nn.ModuleList(GuidedLayer(width, settings.fusion_heads) for _ in range(settings.fusion_layers))
            for _ in range(2)
        )
        self.hidden_voxel = nn.Parameter(torch.zeros(()))
        self.decoder = BlockDecoder(width, encoder.strides[self.levels[0]])
        self.guess = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, text.width))
        self.drafter = drafter
        self.conditioned_head = ProjectionHead(width, CONDITIONED, width, norm="layer")

    def tokens(self, x: Tensor) -> Tensor:
        """Return what volumes `(B, 1, Z, Y, X)` look like at each place, `(B, W, z, y, x)`.

        Coarser features are enlarged and added, so that every stage of the encoder takes part.
        """
        features = self.encoder(x)
        made = [
            linear(features[level].movedim(1, -1)).movedim(-1, 1)
            for linear, level in zip(self.from_levels, self.levels, strict=True)
        ]
        finest = made[0]
        for coarser in made[1:]:
            finest = finest + F.interpolate(coarser, size=finest.shape[2:], mode="trilinear", align_corners=False)
        return finest

    def places_of(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return how many places an input of a size has along each axis."""
        encoder: Any = self.encoder
        return feature_grids(encoder, 1, size)[self.levels[0]]

    def vector(self, tokens: Tensor) -> Tensor:
        """Return the vectors `(B, d)` of volumes by their tokens `(B, W, z, y, x)`."""
        made: Tensor = self.volume_head(tokens.flatten(2).mean(2))
        return made

    def read(self, pieces: Mapping[str, Tensor]) -> ReadReport:
        """Read reports; pieces as `Tokens` names them, `(B, L)` each. A report is its sentences, weighed by a score."""
        states = self.from_text(self.text(pieces["ids"]).states)
        summed, there = summed_words(states, pieces["sentences"])
        counts = summed_words(torch.ones_like(states[..., :1]), pieces["sentences"])[0]
        sentences = summed / counts.clamp(min=1)
        scores = self.sentence_score(sentences)[..., 0].masked_fill(~there & there.any(1, keepdim=True), -torch.inf)
        whole = torch.einsum("bs,bsw->bw", scores.softmax(dim=1), sentences)
        return ReadReport(self.report_head(whole), sentences, there)

    def filled(self, x: Tensor, hidden: Tensor, report: ReadReport) -> Tensor:
        """Return volumes `(B, 1, Z, Y, X)` as they are filled in where `hidden` `(B, Z, Y, X)`, guided by reports."""
        seen = torch.where(hidden[:, None], self.hidden_voxel, x)
        with unmoved_statistics(self.encoder):
            grid = self.tokens(seen)
        tokens, guide = self._placed(grid), report.sentences + self.kinds[1]
        for layer in self.filling:
            tokens, _ = layer(tokens, guide, guide_absent=~report.there)
        made: Tensor = self.decoder(tokens.transpose(1, 2).reshape(grid.shape), x.shape[2:])
        return made

    def guessed(self, ids: Tensor, tokens: Tensor, asked: Tensor) -> Tensor:
        """Return scores of all pieces `(N, V)` for hidden ones, guided by volumes.

        Args:
            ids: Numbers of pieces with hidden ones masked `(B, L)`.
            tokens: Of the volumes `(B, W, z, y, x)`.
            asked: Which pieces are asked for `(B, L)`, N of them.
        """
        states, _ = self._guided(ids, tokens)
        embeddings: Tensor = self.text.bert.embeddings.word_embeddings.weight
        made: Tensor = self.guess(states[asked[:, : states.shape[1]]]) @ embeddings.T
        return made

    def _guided(self, ids: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of pieces guided by volumes `(B, L, W)`, and how they attend to places."""
        states, absent = (
            self.from_text(self.text(ids).states) + self.kinds[1],
            self.text.trimmed(ids) == self.text.padding,
        )
        guide, every = self._placed(tokens), list[Tensor]()
        for layer in self.guessing:
            states, weights = layer(states, guide, absent)
            every.append(weights)
        return states, torch.stack(every).mean(dim=0)

    def _placed(self, grid: Tensor) -> Tensor:
        """Return tokens `(B, M, W)` that know where they are and that they are a volume's."""
        positions = grid_positions(tuple(grid.shape[2:]), grid.shape[1]).to(grid)
        return grid.flatten(2).transpose(1, 2) + positions + self.kinds[0]

    def conditioned(self, tokens: Tensor, report: ReadReport) -> Tensor:
        """Return what each sentence looks at in its volume, of length 1 `(B, S, 128)`."""
        flat = tokens.flatten(2)
        shares = (torch.einsum("bsw,bwm->bsm", report.sentences, flat) / flat.shape[1] ** 0.5).softmax(dim=2)
        made: Tensor = self.conditioned_head(torch.einsum("bsm,bwm->bsw", shares, flat))
        return made

    def plain_sentences(self, pieces: Mapping[str, Tensor]) -> Tensor:
        """Return the mean input embedding of each sentence, of length 1, without a gradient `(B, S, T)`."""
        with torch.no_grad():
            embedded = self.text.bert.embeddings.word_embeddings(pieces["ids"])
            return F.normalize(summed_words(embedded, pieces["sentences"])[0], dim=-1)

    def images(self, x: Tensor) -> Tensor:
        """Return the vectors `(B, d)` of volumes `(B, 1, Z, Y, X)`."""
        return self.vector(self.tokens(x))

    def places(self, x: Tensor) -> Tensor:
        """Return what the vector of a volume would be if it looked everywhere like one of its places `(B, d, …)`."""
        made: Tensor = self.volume_head(self.tokens(x).movedim(1, -1))
        return made.movedim(-1, 1)

    def reports(self, pieces: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors `(B, d)` of reports; pieces as `Tokens` names them."""
        return self.read(pieces).vector

    def draft(self, several: Sequence[Tensor], first: int, last: int) -> list[int]:
        """Return the pieces of a report on the volumes of one study, each `(1, 1, Z, Y, X)`; none without a drafter."""
        places = torch.cat([self.tokens(one).flatten(2) for one in several], dim=2)
        return [] if self.drafter is None else self.drafter.draft(places, first, last)

    def attention(self, x: Tensor, pieces: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return where each word of a report looks in a volume `(W, z, y, x)`, and the words' weights `(W,)`.

        A word weighs as much as its place gets of its attention that gets most: one that looks nowhere weighs little.
        """
        tokens = self.tokens(x)
        _, shares = self._guided(pieces["ids"], tokens)
        summed, there = summed_words(shares, pieces["words"])
        maps = summed[0, there[0]] / summed[0, there[0]].sum(dim=1, keepdim=True)
        most = maps.amax(dim=1)
        return maps.view(-1, *tokens.shape[2:]), most / most.sum()


@contextmanager
def unmoved_statistics(encoder: Any) -> Iterator[None]:
    """Keep the running statistics of batch norms as they are: they are to be those of whole volumes."""
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(norms, before, strict=True):
            layer.momentum = momentum


def make_network(plan: PairPlan, settings: NetworkSettings) -> Mg3dNetwork:
    """Return the network with random weights.

    Args:
        plan: Its volumes and reports.
        settings: Encoder, and sizes of what follows.

    Raises:
        ScanweaveError: There is no such encoder, or a library is not installed.
    """
    drafter = drafter_of(plan, settings.fusion_width)
    return Mg3dNetwork(encoder_of(plan, settings, 1), text_encoder_of(plan), settings, drafter)
