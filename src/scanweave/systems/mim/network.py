"""The network that is pre-trained: an encoder, a decoder of hidden blocks, and heads that align levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.encoders import Encoder, make_encoder
from scanweave.nets.hybrid_encoder import blocks_of, spread, taken, transformer_layer, whole_of
from scanweave.nets.positions import grid_positions
from scanweave.systems.mim.config import MimConfig, NetworkSettings
from scanweave.systems.mim.levels import AXES

START_DEVIATION = 0.02
"""Of what stands for a hidden block, as usual for vision transformers."""


class Reconstruction(NamedTuple):
    """Hold what the network makes of views.

    Attributes:
        blocks: Voxels of every block `(V, T, voxels)`; of hidden ones a reconstruction.
        features: Of every block `(V, T, D)`, those that levels are aligned by.
    """

    blocks: Tensor
    features: Tensor


class MimNetwork(nn.Module):
    """Reconstruct the hidden blocks of views `(V, 1, R, R, R)`.

    Args:
        config: Every setting.

    Attributes:
        encoder: What the pre-training is for; start weights address it by this name.
        block: Edge of a block [voxels].
        width: Numbers D of a feature by which levels are aligned.

    """

    def __init__(self, config: MimConfig) -> None:
        super().__init__()
        settings = config.network
        self.encoder = pretrained_encoder(settings)
        self.block = block_of(settings)
        self.places = _BlockFeatures(self.encoder, self.block) if settings.hidden == "filled" else None
        if self.places is not None:
            self.filling = nn.Parameter(torch.zeros(1))
        width = self.places.width if self.places else self.encoder.channels[-1]
        voxels = self.block**AXES
        linear = settings.decoder == "linear"
        self.decoder = LinearDecoder(width, voxels) if linear else Decoder(width, voxels, settings)
        self.width = width if linear else settings.decoder_width
        pairs = len(config.levels.units) - 1
        self.parent_heads = nn.ModuleList(_head(self.width) for _ in range(pairs))
        self.child_heads = nn.ModuleList(_head(self.width) for _ in range(pairs))

    def forward(self, views: Tensor, hidden: Tensor) -> Reconstruction:
        """Reconstruct what is hidden.

        Args:
            views: `(V, 1, R, R, R)`.
            hidden: Whether each block is hidden `(V, T)`, of every view as many.
        """
        grid = tuple(size // self.block for size in views.shape[2:])
        visible = visible_blocks(hidden)
        if self.places is None:
            seen = self.encoder.visible_tokens(views, visible)
            return self.decoder(seen, visible, grid)
        features = self.places(self._filled(views, hidden, grid))
        if isinstance(self.decoder, LinearDecoder):
            return self.decoder(features, visible, grid)
        return self.decoder(taken(features, visible), visible, grid)

    def _filled(self, views: Tensor, hidden: Tensor, grid: Sequence[int]) -> Tensor:
        """Return views whose hidden blocks hold the learnt value."""
        blocks = blocks_of(views.movedim(1, -1), grid)
        blocks = torch.where(hidden.view(*hidden.shape, *[1] * (AXES + 1)), self.filling.to(blocks), blocks)
        return whole_of(blocks, grid).movedim(-1, 1)


def pretrained_encoder(settings: NetworkSettings) -> Any:
    """Return the encoder that is to be trained, of one channel and three dimensions."""
    return make_encoder(settings.encoder, 1, AXES, **encoder_options(settings))


def encoder_options(settings: NetworkSettings) -> dict[str, Any]:
    """Return what the encoder of these settings is made with beside its name."""
    if settings.encoder == "hybrid":
        return {name: getattr(settings, name) for name in ("widths", "depths", "heads", "fusion")}
    # norms over a batch would tie views to each other, and small batches of them to chance
    return {"width": settings.encoder_width, "norm": "instance"} if settings.encoder.startswith("resnet") else {}


def block_of(settings: NetworkSettings) -> int:
    """Return the edge of a block [voxels]."""
    return 2 ** len(settings.widths) if settings.encoder == "hybrid" else settings.block


def visible_blocks(hidden: Tensor) -> Tensor:
    """Return the numbers of the blocks that are not hidden `(V, N)`, in order, of booleans `(V, T)`."""
    return (~hidden).nonzero()[:, 1].view(len(hidden), -1)


class Decoder(nn.Module):
    """Reconstruct hidden blocks by a transformer on visible tokens and one learnt token for each hidden block.

    Args:
        width: Numbers of an encoder's token.
        voxels: Of a block.
        settings: Its sizes.
    """

    def __init__(self, width: int, voxels: int, settings: NetworkSettings) -> None:
        super().__init__()
        own, heads = settings.decoder_width, settings.decoder_heads
        if own % heads:
            raise ScanweaveError("network.decoder_heads", f"{heads} do not divide {own}", "Give a divisor")
        self.embed = nn.Linear(width, own)
        self.hidden = nn.Parameter(torch.empty(own))
        nn.init.trunc_normal_(self.hidden, std=START_DEVIATION)
        self.layers = nn.ModuleList(transformer_layer(own, heads) for _ in range(settings.decoder_layers))
        self.norm, self.voxels = nn.LayerNorm(own), nn.Linear(own, voxels)

    def forward(self, seen: Tensor, visible: Tensor, grid: Sequence[int]) -> Reconstruction:
        """Map visible tokens `(V, N, W)`, at the numbers `visible (V, N)` of a grid, to all blocks."""
        count = int(torch.tensor(grid).prod())
        known = spread(torch.ones_like(visible, dtype=torch.bool)[..., None], visible, count)
        tokens = torch.where(known, spread(self.embed(seen), visible, count), self.hidden)
        tokens = tokens + grid_positions(grid, tokens.shape[-1]).to(tokens)
        for layer in self.layers:
            tokens = layer(tokens)
        features = self.norm(tokens)
        return Reconstruction(self.voxels(features), features)


class LinearDecoder(nn.Module):
    """Reconstruct blocks by one layer on their features (Xie et al., SimMIM, CVPR 2022).

    Args:
        width: Numbers of a feature.
        voxels: Of a block.
    """

    def __init__(self, width: int, voxels: int) -> None:
        super().__init__()
        self.voxels = nn.Linear(width, voxels)

    def forward(self, features: Tensor, visible: Tensor, grid: Sequence[int]) -> Reconstruction:
        """Map the features of all blocks `(V, T, W)` to a reconstruction of all of them."""
        return Reconstruction(self.voxels(features), features)


class _BlockFeatures(nn.Module):
    """Features of blocks `(V, T, W)` from any encoder: all of its features, brought to the grid of the blocks.

    Finer ones are averaged over a block, coarser ones are repeated; so every layer of the encoder learns.

    Args:
        encoder: Any.
        block: Edge of a block [voxels].
    """

    def __init__(self, encoder: Encoder, block: int) -> None:
        super().__init__()
        self.block, self.width = block, sum(encoder.channels)
        self._encoder = [encoder]  # in a list: it is no part of this module, and has its weights elsewhere

    def forward(self, x: Tensor) -> Tensor:
        """Map volumes `(V, 1, R, R, R)` to features, the last axis of the blocks' grid fastest."""
        grid = tuple(size // self.block for size in x.shape[2:])
        parts = [_on_grid(feature, grid) for feature in self._encoder[0](x)]
        return torch.cat(parts, dim=1).flatten(2).transpose(1, 2)


def _on_grid(feature: Tensor, grid: tuple[int, ...]) -> Tensor:
    if all(size >= count for size, count in zip(feature.shape[2:], grid, strict=True)):
        return F.adaptive_avg_pool3d(feature, list(grid))  # type: ignore[arg-type]  # it takes any sizes
    return F.interpolate(feature, size=grid, mode="nearest")


def _head(width: int) -> nn.Sequential:
    """Return two layers, from a feature to what is compared."""
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
