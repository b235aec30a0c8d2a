"""Ellipses of one mixture, painted one over the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanweave.simulate.ct.maps import MATERIALS, MaterialMap
from scanweave.simulate.ct.plane import Plane

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Ellipse:
    """A filled ellipse.

    Attributes:
        x: Centre to the right of the isocentre [mm].
        y: Centre above it [mm].
        a: Half axis along x before turning [mm].
        b: Half axis along y before turning [mm].
        contents: Density of each material in it [g/cm³]; it replaces what lay there, and nothing is air.
        angle: Turn from x towards y, anticlockwise [°].
    """

    x: float
    y: float
    a: float
    b: float
    contents: Mapping[str, float]
    angle: float = 0.0

    def covers(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell whether points [mm] lie in it; the arguments broadcast."""
        turn = np.deg2rad(self.angle)
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        right, up = x - np.float32(self.x), y - np.float32(self.y)
        along, across = cos * right + sin * up, cos * up - sin * right
        return np.asarray((along / self.a) ** 2 + (across / self.b) ** 2 <= 1)


def paint(plane: Plane, ellipses: Iterable[Ellipse], places: tuple[Array, Array] | None = None) -> MaterialMap:
    """Draw ellipses in their order at the pixel centres; later ones replace earlier ones.

    Edges are hard: draw on `plane.finer(k)` and coarsen for partial volume.

    Args:
        plane: The grid.
        ellipses: What to draw.
        places: x and y at which each pixel looks [mm], if they were deformed.
    """
    x, y = plane.positions() if places is None else places
    densities = np.zeros((len(MATERIALS), plane.rows, plane.columns), np.float32)
    for ellipse in ellipses:
        filled = np.array([ellipse.contents.get(name, 0.0) for name in MATERIALS], np.float32)
        densities[:, ellipse.covers(x, y)] = filled[:, None]
    return MaterialMap(MATERIALS, densities, plane)
