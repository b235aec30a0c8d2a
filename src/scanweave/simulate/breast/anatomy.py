"""Healthy breasts: skin, fat, glandular tissue along the ducts, muscle, lung and vessels, at any voxel spacing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.breast.gland import draw_gland
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.simulate.breast.shape import LATERAL, Shape, draw_shape
from scanweave.simulate.fields import Array, Grid, share_inside, smooth_field, threads

TISSUES = ("skin", "fat", "gland", "muscle", "lung", "vessel")
"""Healthy tissues, in the order of their labels from 1."""
_WARPS = ((45.0, 3.0), (18.0, 0.6))
"""Lattice distance and spread of the two scales of the deformation [mm]."""
_BACK = 1 / 3
"""Share of the field that lies behind the wall under a breast."""
_EDGE, _SHARPEST = 0.27, 0.4
"""Softness of a border, in voxels (what a plane leaves of a voxel, fitted by a logistic), and the least of it [mm]."""
_VESSEL_SCALE, _VESSEL_WIDTH = 26.0, 0.07
"""Distance of vessels [mm], and their radius in units of it: about 1.5 mm."""
_VESSEL_SHARE, _STREAKS = 0.9, 0.7
"""Share of blood in the middle of a vessel, and of fat in the streaks of a muscle."""


@dataclass(frozen=True)
class BreastAnatomy:
    """One healthy body, at the `N` voxels of its mask.

    Attributes:
        grid: The grid.
        shape: Its surfaces before deformation.
        mask: The body, `(X, Y, Z)` bool.
        fractions: Share of each of `TISSUES` in a voxel, `(6, N)`; what they lack of 1 is air.
        behind: How far each voxel lies behind the front of the muscle [mm], `(N,)`.
        places: Where each voxel lies before the deformation, RAS mm, `(3, N)`.
        softness: Width of a border between tissues [mm].
    """

    grid: Grid
    shape: Shape
    mask: NDArray[np.bool_]
    fractions: Array
    behind: Array
    places: Array
    softness: float

    def field(self, rng: Generator, scale: float) -> Array:
        """Return a `smooth_field` at the voxels of the body, `(N,)`."""
        return smooth_field(rng, self.grid, scale)[self.mask]


def draw_anatomy(
    rng: Generator, settings: BreastSettings, middle: Callable[[Shape], NDArray[np.float64]] | None = None
) -> BreastAnatomy:
    """Draw a healthy body.

    Args:
        rng: The source of randomness.
        settings: Field, spacing and which breasts; of the field, `crop` mm are kept where `middle` is given.
        middle: Tells the middle of what is kept of the field, RAS mm, from the surfaces. The body stays the same.
    """
    shape = draw_shape(rng, settings.both)
    grid = _grid(shape, settings)
    if middle is not None:
        grid = grid.cut(middle(shape), settings.crop)
    places = _places(rng, grid)
    softness = max(_SHARPEST, _EDGE * settings.spacing)
    depth = shape.depth(places)
    mask = depth > 0
    depth, places = depth[mask], places[:, mask]
    behind = shape.behind(places)

    body, inner = share_inside(depth, softness), share_inside(depth - np.float32(shape.skin), softness)
    muscle, lung = (inner * share_inside(behind - np.float32(start), softness) for start in (0.0, shape.muscle))
    breast = inner - muscle

    def field(source: Generator, scale: float) -> Array:
        return smooth_field(source, grid, scale)[mask]

    gland = breast * draw_gland(rng, shape, places, softness, field)
    streaks = (muscle - lung) * np.float32(_STREAKS) * share_inside(4 * (field(rng, 9.0) - 1), softness)
    tubes = threads(field(rng, _VESSEL_SCALE), field(rng, _VESSEL_SCALE), _VESSEL_WIDTH)
    blood = np.clip(np.float32(_VESSEL_SHARE * settings.vessels) * tubes, 0, 1) * (inner - lung)
    parts = [body - inner, breast - gland + streaks, gland, muscle - lung - streaks, lung]
    fractions = np.stack([*(part * (1 - blood) for part in parts), blood * body])
    return BreastAnatomy(grid, shape, mask, fractions, behind, places, softness)


def label_tissue(fractions: Array) -> NDArray[np.uint8]:
    """Return the largest of `TISSUES` at each voxel of a healthy body, from 1; `(N,)`."""
    return np.asarray(fractions.argmax(axis=0) + 1, np.uint8)


def _grid(shape: Shape, settings: BreastSettings) -> Grid:
    wide, long, high = settings.field
    reach = LATERAL * (max(shape.sides) - min(shape.sides))
    low = LATERAL * min(shape.sides) - wide / 2
    return Grid((low, -_BACK * long, -high / 2), (wide + reach, long, high), settings.spacing)


def _places(rng: Generator, grid: Grid) -> Array:
    """Draw the map from the grid to the body before deformation, RAS mm, `(3, X, Y, Z)`."""
    places = np.empty((3, *grid.shape), np.float32)
    for axis, along in enumerate(grid.positions()):
        places[axis] = along
        for scale, spread in _WARPS:
            places[axis] += np.float32(spread) * smooth_field(rng, grid, scale)
    return places
