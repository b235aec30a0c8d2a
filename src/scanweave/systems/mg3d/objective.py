"""The losses of one step: pairs, hidden blocks, hidden words, and what sentences look at."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.contrast import equal_keys, soft_pair_loss
from scanweave.systems.mg3d.config import ObjectiveSettings
from scanweave.systems.mg3d.network import Mg3dNetwork, ReadReport

ALIKE, APART = 0.9, 0.6
"""Likeness of two sentences from which what they look at is to be as alike, and up to which it is to be unlike."""
NOBODY = -1
"""Key of a place in the queue that is empty."""


class Mg3dObjective(nn.Module):
    """L = λ_1 L_pair + λ_2 L_blocks + λ_3 L_pieces + λ_4 L_gated (arXiv 2412.05876 and its code; terms are ours).

    Args:
        network: What is trained.
        settings: The weights λ.

    Attributes:
        steps: Updates so far.
        queue: Vectors of earlier volumes and reports `(2, Q, d)`,
        keys: the hashes of those reports `(Q,)`, and
        numbers: those of their studies. A checkpoint keeps all of these.
    """

    steps: Tensor
    queue: Tensor
    keys: Tensor
    numbers: Tensor

    def __init__(self, network: Mg3dNetwork, settings: ObjectiveSettings, embedding: int) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("queue", torch.zeros(2, settings.queue, embedding))
        self.register_buffer("keys", torch.full((settings.queue,), NOBODY))
        self.register_buffer("numbers", torch.full((settings.queue,), NOBODY))
        self._newest: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss and its terms.

        Args:
            batch: Samples as `GuidedSamples` makes them, B of each. Volumes of one study are never wrong pairs.
        """
        network, settings = self.network, self.settings
        tokens, report = network.tokens(batch["image"]), network.read(batch)
        terms, rise = dict[str, Tensor](), self._rise()
        vectors = network.vector(tokens), report.vector
        with torch.autocast(tokens.device.type, enabled=False):  # half precision is too coarse for cosines over 0.07
            terms["pair"] = settings.pair * self._pairs(vectors[0].float(), vectors[1].float(), batch, rise)
        if settings.blocks:
            made = network.filled(batch["image"], batch["hidden"], report)
            errors = (made - batch["image"])[:, 0][batch["hidden"]]
            terms["blocks"] = rise * settings.blocks * errors.float().square().mean()
        if settings.pieces:
            asked = batch["asked"]
            scores = network.guessed(batch["masked"], tokens, asked)
            own = F.cross_entropy(scores.float(), batch["ids"][asked]) if len(scores) else scores.sum()
            terms["pieces"] = rise * settings.pieces * own
        if network.drafter is not None:
            terms["draft"] = settings.draft * network.drafter.loss(batch["ids"], tokens.flatten(2))
        if settings.gated:
            terms["gated"] = rise * settings.gated * self._gated(tokens, report, batch)
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _rise(self) -> Tensor | float:
        """Return the share of their weights that all terms but that of pairs have by now."""
        settings = self.settings
        return ((self.steps + 1) / settings.warm_in).clamp(max=1.0) if settings.warm_in else 1.0

    def _pairs(self, volumes: Tensor, reports: Tensor, batch: Mapping[str, Tensor], rise: Tensor | float) -> Tensor:
        settings = self.settings
        right = equal_keys(batch["number"])
        if settings.copies == "together":
            right = right | equal_keys(batch["report"]) | equal_keys(batch["read"])
        own = batch["terms"] @ batch["terms"].T if settings.soft else torch.zeros_like(right, dtype=torch.float)
        likeness = own.masked_fill(equal_keys(batch["number"]), 1.0)
        earlier = self.numbers != NOBODY
        if earlier.any():
            queue, keys = self.queue[:, earlier], self.keys[earlier]
            same = batch["number"][:, None] == self.numbers[earlier]
            if settings.copies == "together":
                same = same | (batch["report"][:, None] == keys)
            right = torch.cat([right, same], dim=1)
            likeness = F.pad(likeness, (0, len(keys)), value=-torch.inf)  # none of the share goes to them
            others = torch.cat([reports, queue[1]]), torch.cat([volumes, queue[0]])
        else:
            others = reports, volumes
        if settings.queue:
            self._newest = torch.stack([volumes.detach(), reports.detach()]), batch["report"], batch["number"]
        scores = torch.stack([one @ other.T for one, other in zip((volumes, reports), others, strict=True)])
        share = settings.soft * rise
        return soft_pair_loss(scores / settings.temperature, right, likeness, share, settings.soft_temperature)

    def _gated(self, tokens: Tensor, report: ReadReport, batch: Mapping[str, Tensor]) -> Tensor:
        """Return how far what two sentences of different studies look at is from being as alike as they are."""
        there = report.there
        looked = self.network.conditioned(tokens, report)[there].float()
        plain = self.network.plain_sentences(batch)[there].float()
        owners = batch["number"][:, None].expand_as(there)[there]
        with torch.autocast(tokens.device.type, enabled=False):  # as for pairs
            alike, found = plain @ plain.T, looked @ looked.T
        different = owners[:, None] != owners[None, :]
        wanted = torch.where(alike >= ALIKE, alike, 0.0)
        counted = different & ((alike >= ALIKE) | (alike <= APART))
        return ((found - wanted).abs() * counted).sum() / counted.sum().clamp(min=1)

    def after_step(self) -> None:
        """Count the step, and put the pairs of the batch in place of the oldest of the queue."""
        self.steps += 1
        if self._newest is None:
            return
        vectors, keys, numbers = self._newest
        kept = len(self.keys)
        self.queue = torch.cat([vectors, self.queue], dim=1)[:, :kept]
        self.keys = torch.cat([keys, self.keys])[:kept]
        self.numbers = torch.cat([numbers, self.numbers])[:kept]
        self._newest = None
