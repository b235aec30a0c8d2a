"""Healthy anatomies: the MNI152 2009a tissue maps, deformed at random.

The maps (Fonov et al., NeuroImage 2011) ship inside nilearn; nothing is downloaded. An anatomy differs from the
template by a small affine map, a smooth deformation and a random shift of the tissue borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.external import require
from scanweave.simulate.fields import Array, Grid, smooth_field

HEALTHY = ("csf", "gm", "wm")
MARGIN = 6.0
"""Room between the template's brain and the edge of the grid [mm]."""
_SHIFT, _TURN, _STRETCH = 2.0, 3.0, 0.04
"""Spread of the affine map: translation [mm], rotation [°] and scale per axis."""
_WARPS = ((45.0, 2.2), (18.0, 0.9))
"""Lattice distance and spread of the two scales of the deformation [mm]."""
_COARSE = 2
"""Step of the depth map [voxels of 1 mm]: it is smooth, and four seconds dearer at every voxel."""
_SHARPNESS = 2.0
"""Exponent on the probabilities: the average of many brains is blurred, one brain is not."""


@dataclass(frozen=True)
class Template:
    """The average brain, cropped.

    Attributes:
        maps: Grey and white matter, `(2, X, Y, Z)` at 1 mm.
        depth: Distance under the surface of the brain, negative outside [mm], at every `_COARSE`-th voxel.
        origin: RAS mm of the first voxel.
        seats: RAS mm of places in deep white matter, where a lesion can sit, `(N, 3)`.
    """

    maps: Array
    depth: Array
    origin: NDArray[np.float64]
    seats: NDArray[np.float64]

    def grid(self, spacing: float, room: float = 0.0) -> Grid:
        """Return the grid of the simulated scans, with further room [mm] on all sides."""
        x, y, z = (float(start) - room for start in self.origin)
        length = [float(count - 1) + 2 * room for count in self.maps.shape[1:]]
        return Grid((x, y, z), (length[0], length[1], length[2]), spacing)


@dataclass(frozen=True)
class Anatomy:
    """One healthy brain, at the `N` voxels of its mask.

    Attributes:
        grid: The grid.
        mask: The brain, `(X, Y, Z)` bool.
        fractions: Share of each tissue of `HEALTHY` in a voxel, `(3, N)`, summing to 1.
        depth: Distance to the surface of the brain [mm], `(N,)`.
        places: Where each voxel lies in the template, RAS mm, `(3, N)`.
    """

    grid: Grid
    mask: NDArray[np.bool_]
    fractions: Array
    depth: Array
    places: Array

    def field(self, rng: Generator, scale: float) -> Array:
        """Return a `smooth_field` at the voxels of the brain, `(N,)`."""
        return smooth_field(rng, self.grid, scale)[self.mask]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the template once per process.

    Raises:
        ScanweaveError: nilearn is not installed.
    """
    datasets = require("nilearn.datasets", "simulate")
    gm = datasets.load_mni152_gm_template(resolution=1)
    wm, brain = datasets.load_mni152_wm_template(resolution=1), datasets.load_mni152_brain_mask(resolution=1)
    inside = np.asanyarray(brain.dataobj) > 0
    corners = np.argwhere(inside)
    low = np.maximum(corners.min(axis=0) - int(MARGIN), 0)
    high = np.minimum(corners.max(axis=0) + int(MARGIN) + 1, inside.shape)
    box = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    inside = inside[box]
    coarse = inside[(slice(None, None, _COARSE),) * 3]
    depth = ndimage.distance_transform_edt(coarse) - ndimage.distance_transform_edt(~coarse)
    depth = np.asarray(depth * _COARSE, np.float32)
    maps = np.stack([np.asanyarray(image.dataobj)[box] for image in (gm, wm)]).astype(np.float32)
    origin = np.asarray(gm.affine[:3, 3] + low, np.float64)
    white = maps[1][(slice(None, None, _COARSE),) * 3]
    seats = _COARSE * np.argwhere((white > 0.8) & (depth > 14) & (depth < 45)) + origin
    return Template(maps, depth, origin, seats)


def draw_anatomy(rng: Generator, spacing: float, room: float = 0.0) -> Anatomy:
    """Draw a healthy brain.

    Args:
        rng: The source of randomness.
        spacing: Edge of a voxel [mm].
        room: Further room around the brain on the grid [mm].
    """
    template = load_template()
    grid = template.grid(spacing, room)
    places = _places(rng, grid)
    index = places - template.origin.astype(np.float32)[:, None, None, None]
    depth = ndimage.map_coordinates(template.depth, index / np.float32(_COARSE), order=1, mode="nearest")
    mask = depth > 0
    index = index[:, mask]
    gm, wm = (ndimage.map_coordinates(maps, index, order=1, mode="nearest") for maps in template.maps)
    csf = np.clip(1 - gm - wm, 0, None)
    borders = [np.exp(0.25 * smooth_field(rng, grid, 12.0)[mask]) for _ in HEALTHY]
    borders[0] = borders[0] * np.float32(np.exp(rng.normal(0.6, 0.3)))
    fractions = np.stack([csf, gm, wm]) ** _SHARPNESS * np.stack(borders)
    fractions /= fractions.sum(axis=0) + np.float32(1e-12)
    return Anatomy(grid, mask, fractions, depth[mask], places[:, mask])


def _places(rng: Generator, grid: Grid) -> Array:
    """Draw the map from the grid to the template, RAS mm, `(3, X, Y, Z)`."""
    matrix = _rotation(rng.normal(0, np.deg2rad(_TURN), 3)) @ np.diag(np.exp(rng.normal(0, _STRETCH, 3)))
    shift = rng.normal(0, _SHIFT, 3)
    x, y, z = grid.positions()
    places = np.empty((3, *grid.shape), np.float32)
    for axis in range(3):
        row = matrix[axis].astype(np.float32)
        places[axis] = row[0] * x + row[1] * y + (row[2] * z + np.float32(shift[axis]))
        for scale, spread in _WARPS:
            places[axis] += np.float32(spread) * smooth_field(rng, grid, scale)
    return places


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation matrix of three angles [rad] about x, y and z."""
    (a, b, c), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    return np.asarray(
        np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
        @ np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
        @ np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    )
