"""Surfaces of the breast and of the chest wall before deformation, as distances in millimetres.

The patient lies prone: y points from the wall to the nipple, x to the patient's right, z to the head. The wall under
the middle of a breast lies at y = 0, the midline of the body at x = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array

LATERAL = 75.0
"""Distance from the midline to the middle of a breast [mm]."""
_NIPPLE = 4.5
"""Radius of the nipple [mm]."""
_BLEND, _NIPPLE_BLEND = 16.0, 4.0
"""Over what the breast runs into the chest, and the nipple into the breast [mm]."""


@dataclass(frozen=True)
class Shape:
    """Sizes of one body, in mm.

    Attributes:
        sides: Which breasts are there: +1 for the right one, −1 for the left.
        half: Half axes of a breast, an ellipsoid: sideways, forwards, along the body, `(3,)`.
        sag: How far the nipple lies below the middle.
        roundness: Radius of the chest.
        skin: Thickness of the skin.
        cover: Thickness of the fat on the chest beside the breast.
        muscle: Thickness of muscle and chest wall.
    """

    sides: tuple[int, ...]
    half: NDArray[np.float64]
    sag: float
    roundness: float
    skin: float
    cover: float
    muscle: float

    def apex(self, side: int) -> NDArray[np.float64]:
        """Return where the nipple begins, `(3,)`."""
        drop = min(self.sag / float(self.half[2]), 0.9)
        return np.array([side * LATERAL, float(self.half[1]) * np.sqrt(1 - drop**2), -self.sag])

    def behind(self, places: Array) -> Array:
        """Return how far places `(3, …)` lie behind the front of the muscle, negative before it."""
        x, y, z = places
        wall = (LATERAL**2 - x**2) / (2 * self.roundness) - z**2 / (8 * self.roundness)
        return np.asarray(wall - y, np.float32)

    def depth(self, places: Array) -> Array:
        """Return how far places `(3, …)` lie under the skin's surface, negative outside."""
        depth = self.behind(places) + np.float32(self.cover)
        for side in self.sides:
            offset = [places[0] - np.float32(side * LATERAL), places[1], places[2]]
            depth = _union(depth, self._under_breast(offset), _BLEND)
            tip = self.apex(side)
            squares = [(places[axis] - np.float32(tip[axis])) ** 2 for axis in range(3)]
            depth = _union(depth, np.float32(_NIPPLE) - np.sqrt(squares[0] + squares[1] + squares[2]), _NIPPLE_BLEND)
        return depth

    def own(self, places: Array) -> tuple[Array, Array]:
        """Return places `(3, …)` in units of the half axes: distance from the breast's axis, and height over the wall.

        The breast is the nearer one, the axis runs from the middle of the base to the nipple.
        """
        side = self.nearer(places)
        height = places[1] / np.float32(self.half[1])
        x = (places[0] - side * np.float32(LATERAL)) / np.float32(self.half[0])
        z = (places[2] + np.clip(height, 0, 1) * np.float32(self.sag)) / np.float32(self.half[2])
        return np.hypot(x, z), height

    def nearer(self, places: Array) -> Array:
        """Return the side of the breast that is nearer to places `(3, …)`."""
        if len(self.sides) == 1:
            return np.full(places.shape[1:], self.sides[0], np.float32)
        return np.asarray(np.where(places[0] >= 0, 1, -1), np.float32)

    def _under_breast(self, offset: list[Array]) -> Array:
        """Return the distance under the ellipsoid's surface, to first order."""
        scaled = [part / np.float32(half) for part, half in zip(offset, self.half, strict=True)]
        radius = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
        slope = [part / np.float32(half) for part, half in zip(scaled, self.half, strict=True)]
        steep = np.sqrt(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2)
        return np.asarray((1 - radius) * radius / np.maximum(steep, np.float32(1e-4)), np.float32)


def draw_shape(rng: Generator, both: bool) -> Shape:
    """Draw a body of ordinary size, with one breast of either side, or both."""
    side = 1 if rng.random() < 0.5 else -1
    width, forward, ratio = rng.uniform(47, 58), rng.uniform(44, 58), rng.uniform(0.9, 1.1)
    return Shape(
        sides=(1, -1) if both else (side,),
        half=np.array([width, forward, ratio * width]),
        sag=float(rng.uniform(0, 8)),
        roundness=float(rng.uniform(170, 230)),
        skin=float(rng.uniform(1.4, 2.4)),
        cover=float(rng.uniform(7, 14)),
        muscle=float(rng.uniform(14, 22)),
    )


def _union(one: Array, other: Array, blend: float) -> Array:
    """Return the depth in the union of two bodies, rounded off where they meet."""
    share = np.clip(0.5 + (one - other) / np.float32(2 * blend), 0, 1)
    rounded = share * one + (1 - share) * other + np.float32(blend) * share * (1 - share)
    return np.asarray(rounded, np.float32)
