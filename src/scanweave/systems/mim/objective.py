"""The loss: hidden blocks reconstructed at every level, and children aligned with their places in the parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scanweave.nets.hybrid_encoder import blocks_of, taken
from scanweave.systems.mim.config import LossSettings, MimConfig
from scanweave.systems.mim.levels import blocks_hidden, cut_views, plan_levels, unit_blocks
from scanweave.systems.mim.network import MimNetwork

LEAST_VARIANCE = 1e-6
"""Of a block, so that one that shows nothing is not divided by 0."""


class Seen(NamedTuple):
    """Hold what is known of the views of a level.

    Attributes:
        errors: Mean error of the hidden blocks of each view `(V,)`.
        regions: Feature of each of its units `(V, U, D)`.
        whole: Feature of the view `(V, D)`.
    """

    errors: Tensor
    regions: Tensor
    whole: Tensor


class MimObjective(nn.Module):
    """Weigh the reconstruction of every level and the alignment of neighbouring ones.

    Args:
        network: What is trained.
        config: Every setting.
    """

    def __init__(self, network: MimNetwork, config: MimConfig) -> None:
        super().__init__()
        self.network, self.settings, self.view = network, config.loss, config.levels.view
        self.levels, self.views_at_once = plan_levels(config.levels, network.block), config.network.views_at_once
        for number, level in enumerate(self.levels):
            self.register_buffer(f"units{number}", unit_blocks(level), persistent=False)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`, and by level its reconstruction and alignment.

        Args:
            batch: `crop (B, 1, E, E, E)`, and of each level k from 0 on `hidden<k> (B, V, U)`, `start<k> (B, V, 3)` and
                `children<k> (B, V, c)`, see `levels.Masks`.
        """
        seen = [self.look(batch, number) for number in range(len(self.levels))]
        found = {f"level {number + 1}": one.errors.mean() for number, one in enumerate(seen)}
        weights = dict(zip(found, self.settings.reconstruction, strict=True))
        for number, weight in enumerate(self.settings.alignment):
            name = f"alignment {number + 1}"
            found[name] = self._alignment(number, seen[number], seen[number + 1], batch[f"children{number}"])
            weights[name] = weight
        return {"loss": torch.stack([weights[name] * value for name, value in found.items()]).sum(), **found}

    def look(self, batch: Mapping[str, Tensor], number: int) -> Seen:
        """Return what is known of the views of one level of a batch, all views of a crop one after the other."""
        level = self.levels[number]
        views = cut_views(batch["crop"], batch[f"start{number}"], level.extent, self.view)
        hidden = blocks_hidden(batch[f"hidden{number}"].flatten(0, 1), level)
        units: Tensor = self.get_buffer(f"units{number}")
        count = self.views_at_once
        if count is None or not torch.is_grad_enabled():
            return self._seen(views, hidden, units)
        parts = [
            checkpoint(self._seen, *pair, units, use_reentrant=False, preserve_rng_state=False)
            for pair in zip(torch.split(views, count), torch.split(hidden, count), strict=True)
        ]
        return Seen(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _seen(self, views: Tensor, hidden: Tensor, units: Tensor) -> Seen:
        made = self.network(views, hidden)
        errors = self._errors(made.blocks - block_values(views, self.network.block, self.settings), hidden)
        return Seen(errors, made.features[:, units].mean(dim=2), made.features.mean(dim=1))

    def _errors(self, apart: Tensor, hidden: Tensor) -> Tensor:
        """Return the mean error of the hidden blocks of each view `(V,)`, of differences `(V, T, voxels)`."""
        of_blocks = (apart.square() if self.settings.distance == "squared" else apart.abs()).mean(dim=2)
        return (of_blocks * hidden).sum(dim=1) / hidden.sum(dim=1)

    def plain_errors(self, batch: Mapping[str, Tensor], number: int) -> Tensor:
        """Return what the mean of each hidden block would reach in the views of one level `(V,)`."""
        level = self.levels[number]
        views = cut_views(batch["crop"], batch[f"start{number}"], level.extent, self.view)
        hidden = blocks_hidden(batch[f"hidden{number}"].flatten(0, 1), level)
        values = block_values(views, self.network.block, self.settings)
        return self._errors(values.mean(dim=2, keepdim=True) - values, hidden)

    def embedded(self, batch: Mapping[str, Tensor], number: int) -> Tensor:
        """Return the mean of the encoder's last feature over each view of one level, nothing hidden `(V, D)`."""
        views = cut_views(batch["crop"], batch[f"start{number}"], self.levels[number].extent, self.view)
        last: Tensor = self.network.encoder(views)[-1]
        return last.flatten(2).mean(dim=2)

    def _alignment(self, number: int, parent: Seen, child: Seen, children: Tensor) -> Tensor:
        """Return how far the children's features are from those of their places in the parents."""
        network, places = self.network, children.flatten(0, 1)
        own = network.child_heads[number](child.whole)
        # the parent's own feature is left alone, so that it is no easy way out to make all features one
        regions = network.parent_heads[number](parent.regions.detach())
        if self.settings.form == "cosine":
            there = taken(regions, places).flatten(0, 1)
            return (2 - 2 * F.cosine_similarity(own, there, dim=1)).mean()
        candidates = F.normalize(regions.repeat_interleave(places.shape[1], dim=0), dim=2)
        logits = torch.einsum("vd,vud->vu", F.normalize(own, dim=1), candidates) / self.settings.temperature
        return F.cross_entropy(logits, places.flatten())


def block_values(views: Tensor, block: int, settings: LossSettings) -> Tensor:
    """Return what is to be reconstructed of each block `(V, T, voxels)`, of views `(V, 1, R, R, R)`."""
    grid = tuple(size // block for size in views.shape[2:])
    values = blocks_of(views.movedim(1, -1), grid).flatten(2)
    if settings.target == "values":
        return values
    mean, variance = values.mean(dim=2, keepdim=True), values.var(dim=2, keepdim=True)
    return (values - mean) / (variance + LEAST_VARIANCE).sqrt()


def masks_as_tensors(masks: Sequence[Any]) -> dict[str, Tensor]:
    """Return the masks of all levels of a crop as they stand in a sample."""
    made = {}
    for number, one in enumerate(masks):
        made[f"hidden{number}"] = torch.from_numpy(one.hidden)
        made[f"children{number}"] = torch.from_numpy(one.children)
        made[f"start{number}"] = torch.from_numpy(one.start)
    return made
