"""Shapes of tumours: how early each voxel of an organ belongs to one, and the first voxels that make up a volume.

Whatever the shape, a tumour is the `count` voxels of the organ that come first. So it lies in the organ, has the
volume that is asked for, and a larger one of the same chance holds the smaller one: a series of growth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.graph import MCP_Geometric

from scanweave.tumours.fields import Array, smooth_field
from scanweave.tumours.request import Shape

Mask = NDArray[np.bool_]

AXES = (0.75, 1.25)
"""Half axes of an ellipsoid against its radius (FreeTumor)."""
WARP = (0.12, 0.28)
"""Deviation of the elastic deformation against the radius: FreeTumor's 0.5–1 of 4 voxels to 5–10 of 32."""
_WARP_WAVES = 4
_UNEVEN = (0.5, 0.9)
"""Deviation of the logarithm of the speed of growth."""
_LOBES, _SPIKES = 5, 12
"""Half waves of that speed across the box: lobes, and spikes on them."""


def order_of(
    rng: Generator, shape: Shape, allowed: Mask, centre: Sequence[int], mm: Sequence[float], diameter_mm: float
) -> Array:
    """Return when each voxel of a box joins a tumour that starts at `centre`; infinite where it may not lie.

    Args:
        rng: The source of chance.
        shape: Which kind.
        allowed: Voxels that it may take, `(X, Y, Z)`.
        centre: Voxel of the box; allowed.
        mm: Size of a voxel along each axis [mm].
        diameter_mm: The largest that is wanted [mm], which sets how coarse its features are.
    """
    if shape == "grown":
        return _grown(rng, allowed, centre, mm)
    radius = diameter_mm / 2
    along = [(np.arange(n) - c) * step for n, c, step in zip(allowed.shape, centre, mm, strict=True)]
    grid = np.meshgrid(*along, indexing="ij")
    bend = rng.uniform(*WARP) * radius
    place = np.stack([axis + bend * smooth_field(rng, allowed.shape, _WARP_WAVES) for axis in grid])
    i, j, k = (int(c) for c in centre)
    place -= place[:, i, j, k].reshape(3, 1, 1, 1)
    axes = rng.uniform(*AXES, 3)
    axes /= np.prod(axes) ** (1 / 3)
    turned = np.tensordot(Rotation.random(random_state=rng).as_matrix() / axes[:, None], place, axes=1)
    away = np.sqrt((turned**2).sum(axis=0))
    return np.where(allowed, away, np.inf).astype(np.float32)


def _grown(rng: Generator, allowed: Mask, centre: Sequence[int], mm: Sequence[float]) -> Array:
    """Return the time at which a front that is faster here than there arrives; it goes around what is not allowed."""
    uneven = rng.uniform(*_UNEVEN)
    slow = smooth_field(rng, allowed.shape, _LOBES) + 0.7 * smooth_field(rng, allowed.shape, _SPIKES)
    costs = np.where(allowed, np.exp(uneven * slow), -1.0)
    arrival, _ = MCP_Geometric(costs, sampling=tuple(mm)).find_costs([tuple(int(c) for c in centre)])
    return np.asarray(arrival, np.float32)


def first_voxels(order: Array, count: int) -> Mask:
    """Return the `count` voxels that come first, as far as there are so many, in one piece around the very first."""
    reachable = np.flatnonzero(np.isfinite(order.ravel()))
    count = min(count, len(reachable))
    chosen = reachable[np.argpartition(order.ravel()[reachable], count - 1)[:count]]
    made: Mask = np.zeros(order.shape, dtype=bool)
    made.flat[chosen] = True
    pieces, number = ndimage.label(made)
    if number < 2:
        return made
    start = pieces[np.unravel_index(int(np.argmin(order)), order.shape)]
    return np.asarray(pieces == start)


def voxels_of(diameter_mm: float, mm: Sequence[float]) -> int:
    """Return how many voxels a ball of a diameter fills, 1 at least."""
    return max(1, round(np.pi / 6 * diameter_mm**3 / float(np.prod(mm))))


def diameter_of(voxels: int, mm: Sequence[float]) -> float:
    """Return the diameter of the ball that so many voxels fill [mm]."""
    return float((6 / np.pi * voxels * np.prod(mm)) ** (1 / 3))
