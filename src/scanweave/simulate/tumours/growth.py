"""Tumours painted into tissue before a scanner sees it: clumps of many small nests, with rims and dead cores.

The process is none of those by which `scanweave.tumours` draws: no warped ellipsoid, no front through uneven tissue,
and blur and noise of the scanner come after. So that a network that was taught by made tumours is tested on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.simulate.fields import Array, Grid, share_inside, smooth_field

_NESTS = (9, 30)
"""Balls that make up a tumour, fewest and most."""
_RIM_CHANCE, _RIM = 0.4, (6.0, 22.0)
"""Chance of a brighter rim, and what it adds [HU]."""
_CORE_ABOVE, _CORE_CHANCE, _CORE = 18.0, 0.6, (8.0, 25.0)
"""Diameter from which a core may be dead [mm], its chance, and how much darker it is [HU]."""
_MOTTLE = 5.0
"""Deviation of attenuation within a tumour [HU]."""
_SOFT = (0.8, 3.0)
"""Width of a border: some are sharp, some seep into the liver [mm]."""
_CYST, _WATER = (6.0, 26.0), 6.0
"""Diameters of cysts [mm], and what is in them [HU]."""


@dataclass(frozen=True)
class Growth:
    """Hold what is drawn of a tumour or a cyst.

    Attributes:
        diameter: [mm].
        darker: Than the liver around [HU]; of a cyst 0, for it is water.
        softness: Of its border [mm].
        rim: What a rim adds [HU]; 0 for none.
        core: How much darker a core is [HU]; 0 for none.
        cyst: Whether it is a cyst.
    """

    diameter: float
    darker: float
    softness: float
    rim: float = 0.0
    core: float = 0.0
    cyst: bool = False

    def facts(self) -> dict[str, Any]:
        """Return what is known of it, for `truth.json`."""
        return {name: value if isinstance(value, bool) else round(value, 2) for name, value in vars(self).items()}


def draw_growths(
    rng: Generator, chance: float, most: int, diameter: Sequence[float], contrast: Sequence[float], cysts: int
) -> list[Growth]:
    """Draw the tumours and cysts of a liver. The number of draws is always the same."""
    there, count, number = rng.random() < chance, int(rng.integers(1, most + 1)), int(rng.integers(0, cysts + 1))
    tumours = [_tumour(np.random.default_rng(rng.integers(2**63)), diameter, contrast) for _ in range(most)]
    hollow = [_cyst(np.random.default_rng(rng.integers(2**63))) for _ in range(cysts)]
    return (tumours[:count] if there else []) + hollow[:number]


def _tumour(rng: Generator, diameter: Sequence[float], contrast: Sequence[float]) -> Growth:
    low, high = diameter
    size = low * (high / low) ** rng.random()  # small ones are as frequent as large ones, by factors
    darker, softness = rng.uniform(contrast[0], contrast[1]), rng.uniform(*_SOFT)
    rim, core = rng.uniform(*_RIM), rng.uniform(*_CORE)
    has_rim, has_core = rng.random(2) < (_RIM_CHANCE, _CORE_CHANCE)
    return Growth(size, darker, softness, rim if has_rim else 0.0, core if has_core and size > _CORE_ABOVE else 0.0)


def _cyst(rng: Generator) -> Growth:
    low, high = _CYST
    return Growth(low * (high / low) ** rng.random(), 0.0, 0.4, cyst=True)


def paint_growth(
    rng: Generator, one: Growth, grid: Grid, centre: NDArray[np.float64], organ: NDArray[np.bool_], attenuation: Array
) -> NDArray[np.bool_]:
    """Paint a tumour or cyst into attenuation [HU], in place, and return its voxels.

    Args:
        rng: The source of chance.
        one: What it is.
        grid: Of the arrays.
        centre: Where [mm], in the coordinates of the grid.
        organ: Where it may lie.
        attenuation: [HU] `(X, Y, Z)`.
    """
    places = [np.asarray(axis, np.float32) for axis in grid.positions()]
    radius = one.diameter / 2
    if one.cyst:
        distance = np.float32(radius) - _away(places, centre)
        share = share_inside(distance, one.softness) * organ
        attenuation += share * (np.float32(_WATER) - attenuation)
        return np.asarray(share > 0.5)
    distance = _clump(rng, places, centre, radius)
    mottle = smooth_field(rng, grid, max(4.0, radius))
    share = share_inside(distance, one.softness / 2) * organ
    inside = share > 0.5
    change = np.float32(-one.darker) + np.float32(_MOTTLE) * mottle
    if one.rim:
        change = change + np.float32(one.rim) * np.exp(-((distance / np.float32(2.0)) ** 2))
    if one.core and inside.any():
        depth = ndimage.distance_transform_edt(inside) * np.float32(grid.spacing)
        change = change - np.float32(one.core) * share_inside((depth - 0.45 * depth.max()).astype(np.float32), 1.5)
    attenuation += (share * change).astype(np.float32)
    return np.asarray(inside)


def _clump(rng: Generator, places: Sequence[Array], centre: NDArray[np.float64], radius: float) -> Array:
    """Return the distance from the border of a clump of balls, scaled so that it has the volume of one ball."""
    count = int(rng.integers(*_NESTS))
    away = rng.standard_normal((count, 3))
    away *= (0.62 * radius * rng.random((count, 1)) ** (1 / 3)) / np.linalg.norm(away, axis=1, keepdims=True)
    sizes = radius * rng.uniform(0.28, 0.62, count)
    made = np.full(np.broadcast_shapes(*(axis.shape for axis in places)), -np.inf, np.float32)
    for shift, size in zip(away, sizes, strict=True):
        made = np.maximum(made, np.float32(size) - _away(places, centre + shift))
    volume = 4 / 3 * np.pi * radius**3
    step = float(np.prod([abs(float(np.ravel(axis)[1] - np.ravel(axis)[0])) for axis in places]))
    flat = np.sort(made.ravel())[::-1]
    return made - flat[min(len(flat) - 1, max(1, round(volume / step)))]


def _away(places: Sequence[Array], centre: NDArray[np.float64]) -> Array:
    squares = sum((axis - np.float32(c)) ** 2 for axis, c in zip(places, centre, strict=True))
    return np.asarray(np.sqrt(squares), np.float32)
