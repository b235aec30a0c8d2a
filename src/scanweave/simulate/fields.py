"""Smooth random fields: cubic B-splines with independent normal coefficients on a coarse lattice; and what is cut out.

The lattice lies in millimetres, so that one seed gives the same field on every voxel grid. A field costs three small
matrix products, which is what makes a whole brain cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

MAX_SPACING = 8.0
"""Coarsest spacing that the settings allow [mm]: lattices reach this far beyond the box."""


@dataclass(frozen=True)
class Grid:
    """An axis-aligned grid of voxels.

    Attributes:
        origin: Centre of the first voxel [mm].
        extent: Length of the box that the voxels cover [mm], the same for every spacing.
        spacing: Edge of a voxel [mm].
        first: Number of the first voxel along each axis: above 0 where a part of the box is cut out.
        size: Voxels of that part along each axis; those of the whole box where it is None.
    """

    origin: tuple[float, float, float]
    extent: tuple[float, float, float]
    spacing: float
    first: tuple[int, int, int] = (0, 0, 0)
    size: tuple[int, int, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels `(X, Y, Z)`."""
        x, y, z = (int(np.ceil(length / self.spacing)) + 1 for length in self.extent)
        return self.size or (x, y, z)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to RAS mm, `(4, 4)`."""
        affine = np.diag([self.spacing, self.spacing, self.spacing, 1.0])
        affine[:3, 3] = [start + self.spacing * first for start, first in zip(self.origin, self.first, strict=True)]
        return affine

    def cut(self, centre: NDArray[np.float64], edge: float) -> Grid:
        """Return the part of this grid in a cube, shifted to lie within the box: what is drawn in it stays the same.

        Args:
            centre: Middle of the cube, RAS mm, `(3,)`.
            edge: Its edge [mm].
        """
        voxels = int(np.ceil(edge / self.spacing))
        x, y, z = (min(voxels, count) for count in self.shape)
        size = (x, y, z)
        middle = [(at - start) / self.spacing for at, start in zip(centre, self.origin, strict=True)]
        i, j, k = (
            int(np.clip(np.rint(at - (part - 1) / 2), 0, count - part))
            for at, part, count in zip(middle, size, self.shape, strict=True)
        )
        return replace(self, first=(i, j, k), size=size)

    def positions(self) -> tuple[Array, Array, Array]:
        """Return the coordinates [mm] along x, y and z, shaped to broadcast to `(X, Y, Z)`."""
        x, y, z = (
            np.asarray(start + self.spacing * np.arange(first, first + count), np.float32)
            for start, first, count in zip(self.origin, self.first, self.shape, strict=True)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]


def smooth_field(rng: Generator, grid: Grid, scale: float) -> Array:
    """Return a field `(X, Y, Z)` of mean 0 and standard deviation 1 over draws, smooth on `scale`.

    Args:
        rng: The source of randomness; the number of draws does not depend on the voxel spacing.
        grid: Where the field is wanted.
        scale: Distance of the lattice nodes [mm]; the correlation falls to about a half over it.
    """
    x, y, z = (
        _basis(first, count, length, grid.spacing, scale)
        for first, count, length in zip(grid.first, grid.shape, grid.extent, strict=True)
    )
    nodes = rng.standard_normal((x.shape[1], y.shape[1], z.shape[1]), dtype=np.float32)
    field = np.tensordot(x, nodes, axes=(1, 0))
    field = np.matmul(y, field)
    return np.asarray(np.matmul(field, z.T), np.float32)


def field_at(rng: Generator, places: Array, low: float, high: float, scale: float) -> Array:
    """Return a smooth field at places of any space of three axes, `(N,)`, of mean 0 and deviation about 1.

    With bent coordinates a field runs along them, such as ducts along the way to the nipple.

    Args:
        rng: The source of randomness; the number of draws depends on the bounds and the scale alone.
        places: Coordinates `(3, N)`; beyond the bounds they count as on them.
        low: Lower bound of every coordinate.
        high: Upper bound of it.
        scale: Distance of the lattice nodes, in the unit of the coordinates.
    """
    count = int(np.ceil((high - low) / scale)) + 3
    nodes = rng.standard_normal((count, count, count), dtype=np.float32)
    index = (np.clip(places, low, high) - np.float32(low)) / np.float32(scale) + 1
    field = ndimage.map_coordinates(nodes, index, order=3, mode="nearest", prefilter=False)
    return np.asarray(field / np.float32(_MEAN_LENGTH**1.5), np.float32)


_MEAN_LENGTH = 151 / 315
"""Mean over a cell of the sum of squared cubic B-spline weights, along one axis."""


@lru_cache(maxsize=256)
def _basis(first: int, count: int, extent: float, spacing: float, scale: float) -> Array:
    """Return spline weights of `count` voxels along one axis from the `first` on, `(count, nodes)`."""
    places = np.arange(first, first + count) * spacing / scale
    return spline_weights(places, int(np.ceil((extent + MAX_SPACING) / scale)))


def spline_weights(position: NDArray[np.floating], last: int) -> Array:
    """Return cubic B-spline weights `(count, last + 3)` with rows of unit length: the variance is 1 everywhere.

    Args:
        position: Where the field is wanted, in lattice steps from node 0, `(count,)`.
        last: Number of the last node within the box; one more lies beyond it, and one before node 0.
    """
    distance = np.abs(position[:, None] - np.arange(-1, last + 2)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float32)


def share_inside(distance: Array, softness: float) -> Array:
    """Return the share of a voxel inside a border that lies `distance` [mm] further out, softened over `softness`."""
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / softness, -30, 30))), np.float32)


def threads(first: Array, second: Array, width: float) -> Array:
    """Return thin tubes, 1 in the middle: they run where two smooth fields are both zero, which is a curve.

    Args:
        first: A smooth field, any shape.
        second: Another one.
        width: Radius in units of the fields: about that share of the distance of their lattice nodes.
    """
    return np.asarray(np.exp(-(first**2 + second**2) / np.float32(2 * width**2)))
