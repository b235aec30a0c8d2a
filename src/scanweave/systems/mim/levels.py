"""Levels: which blocks of each view are hidden, and where in the crop the views of the next level lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.systems.mim.config import LevelSettings

AXES = 3


@dataclass(frozen=True)
class Level:
    """Hold the geometry of one level.

    Attributes:
        extent: Edge of the region that a view shows, in voxels of the crop.
        grid: Blocks along each edge of a view.
        unit: Blocks along each edge of a unit, which is hidden or shown as a whole.
        hidden: Units of a view that are hidden.
        children: Of them, those that the next level looks into; 0 at the last level.
    """

    extent: int
    grid: int
    unit: int
    hidden: int
    children: int

    @property
    def units(self) -> int:
        """Units along each edge of a view."""
        return self.grid // self.unit

    @property
    def unit_extent(self) -> int:
        """Edge of a unit, in voxels of the crop: a whole number where the next level looks into units."""
        return self.extent // self.units


def plan_levels(settings: LevelSettings, block: int) -> tuple[Level, ...]:
    """Return the geometry of all levels, coarse to fine.

    Args:
        settings: What the user decided.
        block: Edge of a block [voxels of a view].

    Raises:
        ScanweaveError: Blocks do not divide a view, units a grid, or a region no whole number of voxels.
    """
    if settings.view % block:
        reason = f"{settings.view} is no multiple of the edge of a block, {block}"
        raise ScanweaveError("levels.view", reason, "Give a multiple")
    grid, extent, made = settings.view // block, settings.extent, list[Level]()
    for number, (unit, ratio) in enumerate(zip(settings.units, settings.ratios, strict=True)):
        children = settings.children[number] if number < len(settings.children) else 0
        if grid % unit or (children and extent % (grid // unit)):
            words = f"{unit} blocks at level {number + 1}: a view has {grid} along an edge, and shows {extent} voxels"
            raise ScanweaveError("levels.units", words, "Give divisors of both")
        units = (grid // unit) ** AXES
        if units < 2:
            raise ScanweaveError("levels.units", f"level {number + 1} has one unit alone", "Give smaller units")
        hidden = min(max(1, round(ratio * units)), units - 1)
        if children > hidden:
            reason = f"{children} at level {number + 1}, where {hidden} units are hidden"
            raise ScanweaveError("levels.children", reason, "Give fewer, or raise levels.ratios")
        made.append(Level(extent, grid, unit, hidden, children))
        extent = made[-1].unit_extent
    return tuple(made)


def views_of(levels: Sequence[Level]) -> tuple[int, ...]:
    """Return how many views of each level a crop has."""
    counts = [1]
    for level in levels[:-1]:
        counts.append(counts[-1] * level.children)
    return tuple(counts)


class Masks(NamedTuple):
    """Hold what is hidden in the views of one level of a crop.

    Attributes:
        hidden: Whether each unit is hidden `(V, U)`, the last axis of the units' grid fastest.
        children: Units that the next level looks into `(V, c)`, all of them hidden; in its order of views.
        start: First voxel of each view in the crop `(V, 3)`.
    """

    hidden: NDArray[np.bool_]
    children: NDArray[np.int64]
    start: NDArray[np.int64]


def draw_masks(levels: Sequence[Level], rng: np.random.Generator) -> list[Masks]:
    """Draw what is hidden at every level of a crop; children lie in what their parents hide."""
    start, made = np.zeros((1, AXES), dtype=np.int64), list[Masks]()
    for level in levels:
        count = level.units**AXES
        orders = np.stack([rng.permutation(count) for _ in start])
        hidden = np.zeros((len(start), count), dtype=bool)
        np.put_along_axis(hidden, orders[:, : level.hidden], True, axis=1)
        children = orders[:, : level.children]
        made.append(Masks(hidden, children, start))
        places = np.stack(np.unravel_index(children, (level.units,) * AXES), axis=-1)
        start = (start[:, None] + level.unit_extent * places).reshape(-1, AXES)
    return made


def blocks_hidden(hidden: Tensor, level: Level) -> Tensor:
    """Return whether each block of a view is hidden `(V, T)`, of the same for its units `(V, U)`."""
    grid = hidden.view(len(hidden), *[level.units] * AXES)
    for axis in range(1, AXES + 1):
        grid = grid.repeat_interleave(level.unit, dim=axis)
    return grid.flatten(1)


def unit_blocks(level: Level) -> Tensor:
    """Return the blocks of every unit `(U, unit³)`: their numbers in the grid of a view."""
    numbers = torch.arange(level.grid**AXES).view(*[level.grid] * AXES)
    cut = numbers.unfold(0, level.unit, level.unit).unfold(1, level.unit, level.unit).unfold(2, level.unit, level.unit)
    return cut.reshape(level.units**AXES, -1)


def cut_views(crops: Tensor, start: Tensor, extent: int, view: int) -> Tensor:
    """Return views `(B · V, C, R, R, R)` of crops, resized by linear interpolation.

    Args:
        crops: `(B, C, E, E, E)`.
        start: First voxel of each view `(B, V, 3)`.
        extent: Voxels of the crop along each edge of a view.
        view: R.
    """
    parts: list[Any] = []
    for crop, places in zip(crops, start.tolist(), strict=True):
        parts += [crop[:, x : x + extent, y : y + extent, z : z + extent] for x, y, z in places]
    cut = torch.stack(parts)
    if extent == view:
        return cut
    return F.interpolate(cut, size=(view,) * AXES, mode="trilinear", align_corners=False)
