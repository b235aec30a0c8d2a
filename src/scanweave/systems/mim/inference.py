"""Whole scans through the network: every block reconstructed from those around it, and features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.augment.crops import Crop, central_crop
from scanweave.nets.hybrid_encoder import blocks_of, whole_of
from scanweave.studies.preparing.preparation import Volume
from scanweave.systems.mim.config import MimConfig
from scanweave.systems.mim.levels import AXES, Level, blocks_hidden, draw_masks
from scanweave.systems.mim.network import MimNetwork
from scanweave.systems.mim.objective import LEAST_VARIANCE, MimObjective
from scanweave.systems.mim.samples import Sample, crop_sample

VIEWS = 4
"""Views that go through the network at once."""
VOXELS = 2**16
"""Voxels whose features are in memory at once."""


class Reconstructor:
    """A network ready to look at whole scans, which are prepared volumes `(X, Y, Z)`.

    Args:
        network: On its device.
        config: Every setting.
    """

    def __init__(self, network: MimNetwork, config: MimConfig) -> None:
        self.network, self.config = network.eval(), config
        self.device = next(network.parameters()).device
        self.objective = MimObjective(network, config).to(self.device).eval()
        self.levels, self.view = self.objective.levels, config.levels.view

    def reconstructed(self, volume: Volume, around: float, seed: int) -> Volume:
        """Return a scan of which every block is reconstructed while it is hidden, from blocks that are visible then.

        Units of blocks are hidden in turn, in tiles of a view at the scan's own resolution, as many at once as at the
        level that looks at that resolution (or else the finest). Where blocks are reconstructed with mean 0 and
        deviation 1, the result gets mean and deviation of the true block.

        Args:
            volume: The scan.
            around: What lies around it.
            seed: Of the order in which blocks are hidden.
        """
        level = next((one for one in self.levels if one.extent == self.view), self.levels[-1])
        made = np.empty_like(volume)
        for number, (crop, voxels) in enumerate(self._tiles(volume, around)):
            tile = self._tile(torch.from_numpy(voxels), level, np.random.default_rng([seed, number]))
            place = tuple(slice(a, min(a + self.view, edge)) for a, edge in zip(crop.start, volume.shape, strict=True))
            made[place] = tile[tuple(slice(part.stop - part.start) for part in place)]
        return made

    def embedding(self, volume: Volume, around: float) -> NDArray[np.float32]:
        """Return the mean of the encoder's last feature `(D,)`, where the scan lies."""
        total, weight = np.zeros(self.network.encoder.channels[-1]), 0.0
        for crop, voxels in self._tiles(volume, around):
            feature = self._features(torch.from_numpy(voxels)[None, None])[-1][0]
            inside = np.zeros((1, 1, *crop.size), dtype=np.float32)
            x, y, z = (edge - first for first, edge in zip(crop.start, volume.shape, strict=True))
            inside[:, :, :x, :y, :z] = 1
            step = self.view // feature.shape[-1]
            share = F.avg_pool3d(torch.from_numpy(inside), step)[0, 0].to(feature)
            total += (feature * share).flatten(1).sum(dim=1).double().cpu().numpy()
            weight += float(share.sum())
        return np.asarray(total / weight, dtype=np.float32)

    def voxel_features(self, volume: Volume, around: float, voxels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some voxels `(N, D)`: all of the encoder's, interpolated, and the voxel's own value.

        Args:
            volume: The scan.
            around: What lies around it.
            voxels: Their indices `(N, 3)`.
        """
        made = np.zeros((len(voxels), sum(self.network.encoder.channels) + 1), dtype=np.float32)
        for crop, tile in self._tiles(volume, around):
            places = voxels - np.array(crop.start)
            own = ((places >= 0) & (places < self.view)).all(axis=1)
            if own.any():
                made[own] = self._at(self._features(torch.from_numpy(tile)[None, None]), tile, places[own])
        return made

    def told_voxels(
        self, volume: Volume, around: float, tell: Callable[[NDArray[np.float32]], NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Return what is told of every voxel from its features, `(X, Y, Z)`; features of few are in memory at once.

        Args:
            volume: The scan.
            around: What lies around it.
            tell: Maps features `(N, D)` to numbers `(N,)`.
        """
        made = np.zeros(volume.shape, dtype=np.int64)
        every = np.indices((self.view,) * AXES).reshape(AXES, -1).T.astype(np.int64)
        for crop, tile in self._tiles(volume, around):
            inside = every[((every + np.array(crop.start)) < np.array(volume.shape)).all(axis=1)]
            features = self._features(torch.from_numpy(tile)[None, None])
            for start in range(0, len(inside), VOXELS):
                some = inside[start : start + VOXELS]
                made[tuple((some + np.array(crop.start)).T)] = tell(self._at(features, tile, some))
        return made

    def _at(self, features: Sequence[Tensor], tile: Volume, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of voxels `places (N, 3)` of a tile, and their values, `(N, D)`."""
        # grid_sample counts axes backwards, from −1 at the first edge to 1 at the last
        at = torch.from_numpy(((places + 0.5) * 2 / self.view - 1)[:, ::-1].astype(np.float32).copy())
        at = at.view(1, -1, 1, 1, AXES).to(self.device)
        with torch.inference_mode():
            parts = [
                F.grid_sample(one, at, padding_mode="border", align_corners=False)[0, :, :, 0, 0].T for one in features
            ]
            found = torch.cat(parts, dim=1).cpu().numpy()
        return np.concatenate([found, tile[tuple(places.T)][:, None]], axis=1)

    def example(self, volume: Volume, around: float, seed: int) -> tuple[Volume, NDArray[np.bool_], Volume]:
        """Return a view of the middle of a scan, which voxels are hidden, and the view with them reconstructed.

        Args:
            volume: The scan.
            around: What lies around it.
            seed: Of what is hidden.
        """
        level = next((one for one in self.levels if one.extent == self.view), self.levels[-1])
        crop = central_crop(volume.shape, (self.view,) * AXES)
        view = np.ascontiguousarray(np.nan_to_num(crop.read(volume, around), nan=around), dtype=np.float32)
        units = torch.from_numpy(draw_masks((level,), np.random.default_rng(seed))[0].hidden)
        hidden = blocks_hidden(units, level)
        made = self._reconstructed(torch.from_numpy(view), hidden, level)
        grid, block = (level.grid,) * AXES, self.network.block
        shown = hidden.view(1, -1, *[1] * AXES, 1).expand(1, -1, *[block] * AXES, 1)
        return view, whole_of(shown, grid)[0, ..., 0].numpy(), made

    def drawn(self, volume: Volume, around: float, rng: np.random.Generator) -> Sample:
        """Return a crop of a scan and what is hidden in it, as a batch of one."""
        sample = crop_sample(volume, around, self.levels, rng)
        return {key: value[None] for key, value in sample.items()}

    def errors(self, batch: Sample) -> list[tuple[float, float]]:
        """Return the mean error of each level for crops that were drawn, and that of the mean of each hidden block."""
        with torch.inference_mode():
            given = {key: value.to(self.device) for key, value in batch.items() if isinstance(value, Tensor)}
            return [
                (
                    float(self.objective.look(given, level).errors.mean()),
                    float(self.objective.plain_errors(given, level).mean()),
                )
                for level in range(len(self.levels))
            ]

    def _features(self, image: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            found: list[Tensor] = self.network.encoder(image.to(self.device))
        return found

    def _tiles(self, volume: Volume, around: float) -> Iterator[tuple[Crop, Volume]]:
        """Yield the views that cover a scan, side by side."""
        ranges = [range(0, edge, self.view) for edge in volume.shape]
        for start in product(*ranges):
            crop = Crop(start, (self.view,) * AXES)
            yield crop, np.ascontiguousarray(np.nan_to_num(crop.read(volume, around), nan=around), dtype=np.float32)

    def _tile(self, view: Tensor, level: Level, rng: np.random.Generator) -> Volume:
        """Return a view of which every block is reconstructed while it is hidden."""
        units = hidden_in_turn(level.units**AXES, level.hidden, rng)
        return self._reconstructed(view, blocks_hidden(units, level), level)

    def _reconstructed(self, view: Tensor, masks: Tensor, level: Level) -> Volume:
        """Return a view in which the blocks that any of the masks `(M, T)` hides are reconstructed."""
        block, grid = self.network.block, (level.grid,) * AXES
        truth = blocks_of(view[None, ..., None], grid).flatten(2)[0]
        made = truth.clone()
        mean, deviation = truth.mean(dim=1, keepdim=True), (truth.var(dim=1, keepdim=True) + LEAST_VARIANCE).sqrt()
        with torch.inference_mode():
            for some in torch.split(masks, VIEWS):
                views = view[None, None].expand(len(some), -1, -1, -1, -1).to(self.device)
                found = self.network(views, some.to(self.device)).blocks.float().cpu()
                if self.config.loss.target == "standardised":
                    found = found * deviation + mean
                for one, hidden in zip(found, some, strict=True):
                    made[hidden] = one[hidden]
        whole = whole_of(made.view(1, len(made), *[block] * AXES, 1), grid)
        return np.asarray(whole[0, ..., 0].numpy())


def hidden_in_turn(count: int, at_once: int, rng: np.random.Generator) -> Tensor:
    """Return booleans `(M, count)` of which each row has `at_once` true, and each column at least one."""
    order = rng.permutation(count)
    turns: Sequence[NDArray[np.int64]] = [order[start : start + at_once] for start in range(0, count, at_once)]
    made = np.zeros((len(turns), count), dtype=bool)
    for row, turn in zip(made, turns, strict=True):
        row[turn] = True
        row[order[: at_once - len(turn)]] = True  # the last turn is filled up
    return torch.from_numpy(made)
