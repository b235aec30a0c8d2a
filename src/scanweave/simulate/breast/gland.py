"""Glandular tissue: a cone of lobes behind the nipple, branching along the ducts, and the ligaments around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from scanweave.simulate.breast.shape import Shape
from scanweave.simulate.fields import Array, field_at, share_inside, threads

_REACH = 60.0
"""Bound of the coordinates along the ducts [mm]."""
_ACROSS, _ALONG = 50.0, 0.45
"""Coordinates along the ducts: across them in radians times this, along them slower by this: lobes are drawn out."""
_LOBES, _LEAVES, _GRAIN = 15.0, 7.0, 5.0
"""Scales of the texture [mm]: the first two in these coordinates, the last in space."""
_LOBE_MM, _LEAF_MM, _GRAIN_MM = 5.0, 5.0, 4.0
"""How far the texture of each scale moves the border of the tissue [mm]."""
_WIDTH, _BASE = 0.85, 0.16
"""Where the cone of lobes ends: at its base in half axes of the breast, and how high over the wall in them."""
_THINNEST, _DENSITY = -5.0, (-4.0, 5.0)
"""Where the border lies at the edge of the cone, and how much a dense breast has more than a fatty one [mm]."""
_DEEPEST = 6.0
"""From where on the middle of the cone is no denser than its edge [mm]."""
_SHEETS = 17.0
"""Distance of ligaments [mm]."""
_DUCT, _LIGAMENT = 0.13, 0.045
"""Radius of a duct and half the thickness of a ligament, in units of their fields."""
_FIBRES = 0.45
"""Share of fibrous tissue in a ligament."""
_AREOLA = 7.0
"""Radius of the tissue under the nipple [mm]."""


def draw_gland(
    rng: Generator, shape: Shape, places: Array, softness: float, field: Callable[[Generator, float], Array]
) -> Array:
    """Draw the share of glandular and fibrous tissue in what lies under the skin of a breast, `(N,)`.

    Args:
        rng: The source of randomness.
        shape: The body before deformation.
        places: Where the voxels lie in it, RAS mm, `(3, N)`.
        softness: Width of a border [mm].
        field: Returns a smooth field on a scale [mm], `(N,)`.
    """
    across, height = shape.own(places)
    ways, to_tip = _ways(shape, places)
    density = float(rng.uniform(*_DENSITY))
    lobes, leaves, first, second = (
        field_at(rng, ways, -_REACH, _REACH, scale) for scale in (_LOBES, _LEAVES, _LOBES, _LOBES)
    )
    grain, sheets = field(rng, _GRAIN), field(rng, _SHEETS)

    cone = np.float32(_WIDTH) * np.sqrt(np.clip(1 - height, 0, None)) - across
    room = np.minimum(np.float32(shape.half[0]) * cone, np.float32(shape.half[1]) * (height - np.float32(_BASE)))
    texture = _LOBE_MM * lobes + _LEAF_MM * leaves + _GRAIN_MM * grain
    border = np.minimum(room, _DEEPEST) + np.float32(_THINNEST + density) + texture
    lobules = share_inside(border, float(np.hypot(softness, 0.8))) * share_inside(room, 3.0)
    ducts = np.float32(0.8) * threads(first, second, _DUCT) * share_inside(room + 4, 2.0)
    ligaments = np.float32(_FIBRES) * np.exp(-((sheets / np.float32(_LIGAMENT)) ** 2) / 2)
    areola = share_inside(np.float32(_AREOLA) - to_tip, 1.5)
    return np.asarray(np.maximum.reduce([lobules, ducts, ligaments, areola]), np.float32)


def _ways(shape: Shape, places: Array) -> tuple[Array, Array]:
    """Return coordinates along the ducts [mm], `(3, N)`, and the distance to the nipple [mm].

    Two of them say the direction from the nipple, one the distance, which is negative in the left breast so that the
    two breasts differ.
    """
    side = shape.nearer(places)
    tip = shape.apex(1).astype(np.float32)
    offset = np.stack([places[0] - side * tip[0], places[1] - tip[1], places[2] - tip[2]])
    distance = np.sqrt((offset**2).sum(axis=0))
    turned = np.float32(_ACROSS) * offset[[0, 2]] / (distance + np.float32(1))
    return np.concatenate([turned, (side * np.float32(_ALONG) * distance)[None]]), distance
