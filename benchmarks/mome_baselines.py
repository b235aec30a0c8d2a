"""Other networks that answer from whatever modalities there are, beside MOME: from the same inputs, of about its size.

Each reads a batch of `MomeNetwork` and begins with its stems. Those named "-like" keep the idea of a paper, not its
size: both papers are about outlining brain tumours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.mome.config import SMALL
from scanweave.systems.mome.planning import TABLE, MomePlan
from scanweave.systems.mome.stems import Stem, Tokens

Batch = Mapping[str, Tensor]
STRIDE = 8
"""Voxels along an axis that make one token, as in MOME's preset `small`."""
ALIGNMENT, DOMAINS = 0.1, 0.02
"""Weights of ShaSpec-like's two further losses: both small beside the cross-entropy."""


class Trained(NamedTuple):
    """Answers of a network to a batch in training.

    Attributes:
        logits: `(B, K)`.
        more: What its method adds to their loss; None: nothing.
        helpers: Logits of auxiliary answers `(H, K)`, and the place in the batch of the sample of each `(H,)`.
    """

    logits: Tensor
    more: Tensor | None = None
    helpers: tuple[Tensor, Tensor] | None = None


class Baseline(nn.Module):
    """A network in the place of MOME's.

    Args:
        plan: Modalities and outputs.
    """

    def __init__(self, plan: MomePlan) -> None:
        super().__init__()
        self.plan = plan

    def forward(self, batch: Batch) -> Tensor:
        """Map a batch to logits `(B, K)`."""
        return self.trained(batch).logits

    def trained(self, batch: Batch) -> Trained:
        """Map a batch to logits, and to what else its loss is made of."""
        raise NotImplementedError


class Encoded(Baseline):
    """Encoders of its own for each modality: a stem an image, two layers for the table.

    Args:
        plan: Modalities and outputs.
        stages: Channels of a stem's first two convolutions.
        width: Of a token D.
    """

    def __init__(self, plan: MomePlan, stages: Sequence[int], width: int) -> None:
        super().__init__(plan)
        self.width = width
        self.stems = nn.ModuleDict({one.name: stem(one.frames or 1, one.size, stages, width) for one in plan.images})
        self.table = perceptron(2 * len(plan.variables), width, width)

    def tokens(self, batch: Batch) -> list[Tensor]:
        """Return the tokens of each modality `(B, n, D)`, 0 where it is absent."""
        made = [encoded(batch, name, one, one) for name, one in self.stems.items()]
        known = present(batch, self.plan)[:, -1, None, None]
        return [*made, self.table(table_values(batch))[:, None] * known]

    def features(self, batch: Batch) -> Tensor:
        """Return the mean token of each modality `(B, M, D)`, 0 where it is absent."""
        return torch.stack([tokens.mean(1) for tokens in self.tokens(batch)], 1)


def stem(channels: int, size: Sequence[int], stages: Sequence[int], width: int) -> Stem:
    """Return a stem as MOME's preset `small` has."""
    return Stem(channels, size, stages, width, STRIDE, SMALL.network.stem_norm)


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return two layers with a rectifier between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def encoded(batch: Batch, name: str, encoder: Callable[[Tensor], Tokens], like: Stem) -> Tensor:
    """Return tokens of an image modality of all samples `(B, n, D)`, 0 where it is absent: as many as `like` makes."""
    grid = like.positions
    made = grid.new_zeros(len(batch["values"]), grid[..., 0].numel(), grid.shape[-1])
    if f"rows/{name}" not in batch:
        return made
    return made.index_copy(0, batch[f"rows/{name}"], encoder(batch[f"image/{name}"]).values)


def table_values(batch: Batch) -> Tensor:
    """Return the variables, 0 where unknown, and which of them are known `(B, 2V)`."""
    known = batch["values_there"].float()
    return torch.cat([batch["values"] * known, known], 1)


def present(batch: Batch, plan: MomePlan) -> Tensor:
    """Return which modalities are there `(B, M)`, the table last."""
    there = batch["values"].new_zeros(len(batch["values"]), len(plan.modalities))
    for number, name in enumerate(plan.modalities):
        if name == TABLE:
            there[:, number] = batch["values_there"].any(1).float()
        elif f"rows/{name}" in batch:
            there[batch[f"rows/{name}"], number] = 1.0
    return there


class EarlyFusion(Baseline):
    """One convolutional network of all channels, absent ones 0; it is told which modalities are there."""

    WIDTH: ClassVar[int] = 256

    def __init__(self, plan: MomePlan) -> None:
        super().__init__(plan)
        channels = sum(image.frames or 1 for image in plan.images)
        self.stem = stem(channels, plan.images[0].size, (40, 96), self.WIDTH)
        told = self.WIDTH + 2 * len(plan.variables) + len(plan.modalities)
        self.head = perceptron(told, self.WIDTH, len(plan.outputs))

    def trained(self, batch: Batch) -> Trained:
        """Map a batch to logits."""
        shown = []
        for image in self.plan.images:
            channels = batch["values"].new_zeros(len(batch["values"]), image.frames or 1, *image.size)
            if f"rows/{image.name}" in batch:
                channels[batch[f"rows/{image.name}"]] = batch[f"image/{image.name}"]
            shown.append(channels)
        seen = self.stem(torch.cat(shown, 1)).values.mean(1)
        return Trained(self.head(torch.cat([seen, table_values(batch), present(batch, self.plan)], 1)))


class LateFusion(Encoded):
    """A network for each modality; the answer is the mean of the logits of those that are there."""

    def __init__(self, plan: MomePlan) -> None:
        super().__init__(plan, (24, 48), 128)
        self.heads = nn.ModuleList(perceptron(self.width, self.width, len(plan.outputs)) for _ in plan.modalities)

    def trained(self, batch: Batch) -> Trained:
        """Map a batch to logits."""
        features, there = self.features(batch), present(batch, self.plan)[..., None]
        each = torch.stack([head(features[:, number]) for number, head in enumerate(self.heads)], 1)
        return Trained((each * there).sum(1) / there.sum(1))


class SharedSpecific(Encoded):
    """ShaSpec-like (Wang et al., CVPR 2023, arXiv 2307.14126): what modalities share, and what is specific to each.

    A shared encoder reads all images, after a layer that brings them to equal channels; every modality has one of its
    own besides. Shared features are drawn together, specific ones are to tell the name of their modality, a residual
    joins both. An absent modality is represented by the mean of the shared features that are there.
    """

    CHANNELS: ClassVar[int] = 4

    def __init__(self, plan: MomePlan) -> None:
        super().__init__(plan, (24, 48), 100)
        count = len(plan.modalities)
        self.equal = nn.ModuleDict({one.name: nn.Conv3d(one.frames or 1, self.CHANNELS, 1) for one in plan.images})
        self.shared = stem(self.CHANNELS, plan.images[0].size, (24, 48), self.width)
        self.shared_table = perceptron(2 * len(plan.variables), self.width, self.width)
        self.join, self.names = nn.Linear(2 * self.width, self.width), nn.Linear(self.width, count)
        self.head = perceptron(count * self.width, self.width, len(plan.outputs))

    def trained(self, batch: Batch) -> Trained:
        """Map a batch to logits, with the losses of alignment and of names."""
        there, specific = present(batch, self.plan), self.features(batch)
        shared = self._shared(batch) * there[..., None]
        common = shared.sum(1, keepdim=True) / there.sum(1)[:, None, None]
        joined = shared + self.join(torch.cat([shared, specific], 2))
        fused = torch.where(there[..., None] > 0, joined, common)
        apart = ((shared - common).abs().mean(2) * there).sum() / there.sum()
        numbers = torch.arange(there.shape[1], device=there.device).expand_as(there)
        named = F.cross_entropy(self.names(specific)[there > 0], numbers[there > 0])
        return Trained(self.head(fused.flatten(1)), ALIGNMENT * apart + DOMAINS * named)

    def _shared(self, batch: Batch) -> Tensor:
        made = [
            encoded(batch, name, nn.Sequential(equal, self.shared), self.shared).mean(1)
            for name, equal in self.equal.items()
        ]
        return torch.stack([*made, self.shared_table(table_values(batch))], 1)


class IntraInter(Encoded):
    """mmFormer-like (Zhang et al., MICCAI 2022): attention within each modality, then among all; absent ones are 0.

    While it learns, an auxiliary head answers from each modality by itself. The Bernoulli indicators of the paper are
    the samples here, which lose modalities at random.
    """

    HEADS: ClassVar[int] = 4

    def __init__(self, plan: MomePlan) -> None:
        super().__init__(plan, (16, 32), 100)
        self.within = nn.ModuleList(self._layer() for _ in plan.modalities)
        self.among = nn.ModuleList(self._layer() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(self.width), nn.Linear(self.width, len(plan.outputs))
        self.helper = perceptron(self.width, self.width, len(plan.outputs))

    def trained(self, batch: Batch) -> Trained:
        """Map a batch to logits, with auxiliary ones of each modality that is there."""
        there = present(batch, self.plan)
        each = [
            layer(tokens) * there[:, number, None, None]
            for number, (layer, tokens) in enumerate(zip(self.within, self.tokens(batch), strict=True))
        ]
        joined = torch.cat(each, 1)
        for layer in self.among:
            joined = layer(joined)
        alone = torch.stack([self.helper(tokens.mean(1)) for tokens in each], 1)
        rows = there.nonzero()[:, 0]
        return Trained(self.head(self.norm(joined.mean(1))), helpers=(alone[there > 0], rows))

    def _layer(self) -> nn.TransformerEncoderLayer:
        return nn.TransformerEncoderLayer(
            self.width, self.HEADS, self.width, dropout=0.05, activation="gelu", batch_first=True, norm_first=True
        )


BASELINES: dict[str, type[Baseline]] = {
    "early fusion": EarlyFusion,
    "late fusion": LateFusion,
    "ShaSpec-like": SharedSpecific,
    "mmFormer-like": IntraInter,
}
