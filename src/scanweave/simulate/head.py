"""Shells around a brain, for scans with skull and scalp: fluid, bone, marrow, muscle, fat, skin, then air."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from scanweave.simulate.anatomy import Anatomy
from scanweave.simulate.fields import Array, share_inside, smooth_field
from scanweave.simulate.material import Material, signal_of
from scanweave.simulate.scanners import Acquisition
from scanweave.simulate.tissue import PARAMETERS

ROOM = 20.0
"""Room around the brain that skull and scalp take [mm], beside what the grid of a brain has."""
SHELLS = ("fluid", "bone", "marrow", "muscle", "fat", "skin")
OUTER = MappingProxyType(
    {
        "fluid": PARAMETERS["csf"][:3],
        "bone": (0.10, 220.0, 0.5),
        "marrow": (0.70, 365.0, 133.0),
        "muscle": (0.75, 1420.0, 32.0),
        "fat": (0.90, 371.0, 133.0),
        "skin": (0.60, 1000.0, 35.0),
    }
)
"""Proton density, T1 and T2 [ms] at 3 T. Muscle, fat and marrow: Gold et al., AJR 2004; proton densities, skin and
bone, which shows next to nothing, are our choice."""
FAT = ("marrow", "fat")
"""Shells that fat suppression darkens."""
_THICKNESS = ((1.0, 3.0), (1.5, 2.5), (0.5, 4.0), (1.5, 2.5), (2.0, 6.0), (1.5, 2.5))
"""Least and greatest thickness of fluid, inner bone, marrow, outer bone, fat or muscle, skin [mm]: our choice."""
_SOFTNESS = 0.5
"""Width of the border between two shells [mm]."""
_NECK = 12.0
"""Height over which fat gives way to muscle at the level of the skull base [mm]."""


def draw_head(rng: Generator, anatomy: Anatomy) -> Array:
    """Return the share of each of `SHELLS` in a voxel outside of the brain, `(6, X, Y, Z)`; 0 within it, and in air.

    Args:
        rng: The source of randomness.
        anatomy: The brain, on a grid with `ROOM` around it.
    """
    outside = ~anatomy.mask
    distance = np.asarray(ndimage.distance_transform_edt(outside) * anatomy.grid.spacing, np.float32)
    lumps = np.exp(np.float32(0.12) * smooth_field(rng, anatomy.grid, 40.0))
    # A brain's surface is folded; the skull is not.
    distance = np.asarray(ndimage.gaussian_filter(distance, 3.0 / anatomy.grid.spacing), np.float32) * lumps
    borders = np.cumsum([rng.uniform(low, high) for low, high in _THICKNESS])
    inside = [share_inside(np.float32(border) - distance, _SOFTNESS) for border in borders]
    layers = [inside[0], *(outer - inner for inner, outer in pairwise(inside))]
    height = anatomy.grid.positions()[2]
    base = float(np.quantile(np.broadcast_to(height, outside.shape)[anatomy.mask], 0.2))
    neck = share_inside(np.float32(base) - height, _NECK)
    shells = np.stack(
        [layers[0], layers[1] + layers[3], layers[2], layers[4] * neck, layers[4] * (1 - neck), layers[5]]
    )
    return np.asarray(shells * outside, np.float32)


def outer_material() -> Material:
    """Return the tissues of `SHELLS`, `(6,)` each."""
    return Material(*(np.array(column) for column in zip(*(OUTER[name] for name in SHELLS), strict=True)))


def shell_signal(shells: Array, material: Material, how: Acquisition) -> Array:
    """Return the noiseless signal around the brain, `(X, Y, Z)`.

    Args:
        shells: Share of each of `SHELLS`, `(6, X, Y, Z)`.
        material: Their tissues at the scanner's field.
        how: Protocol and fat suppression.
    """
    left = np.array([how.fat if name in FAT else 1.0 for name in SHELLS])
    return np.tensordot((signal_of(how.protocol, material) * left).astype(np.float32), shells, axes=1)
