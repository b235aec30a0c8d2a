"""The plane of a film in millimetres, and what is drawn on it: soft borders, tubes along lines, smooth fields."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from scanweave.simulate.fields import Array, share_inside, spline_weights

FIELD_OF_VIEW = 340.0
"""Side of a simulated film [mm], about that of a cassette, 350 mm."""
Window = tuple[slice, slice]


@dataclass(frozen=True)
class FilmPlane:
    """Hold the pixels of a film `(H, W)`, x to the right and y down, from a point between the lungs.

    Attributes:
        rows: Pixels down, H.
        columns: Pixels across, W.
        spacing: Edge of a pixel [mm].
        middle: Place of that point, x and y [pixel, edges from 0].
    """

    rows: int
    columns: int
    spacing: float
    middle: tuple[float, float]

    @classmethod
    def square(cls, size: int) -> FilmPlane:
        """Return the plane of a simulated film of `size` × `size` pixels."""
        return cls(size, size, FIELD_OF_VIEW / size, (size / 2, size / 2))

    @property
    def x(self) -> Array:
        """Positions of the columns [mm], `(1, W)`."""
        return np.asarray((np.arange(self.columns) + 0.5 - self.middle[0]) * self.spacing, np.float32)[None, :]

    @property
    def y(self) -> Array:
        """Positions of the rows [mm], `(H, 1)`."""
        return np.asarray((np.arange(self.rows) + 0.5 - self.middle[1]) * self.spacing, np.float32)[:, None]

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of the film [mm]."""
        (across, down), step = self.middle, self.spacing
        return -across * step, -down * step, (self.columns - across) * step, (self.rows - down) * step

    def empty(self) -> Array:
        """Return a map of zeros `(H, W)`."""
        return np.zeros((self.rows, self.columns), np.float32)

    def inside(self, distance: Array) -> Array:
        """Return the share of a pixel inside a border that lies `distance` [mm] further out."""
        return share_inside(distance, self.spacing / 4)

    def line_distance(self, points: NDArray[np.floating], reach: float) -> tuple[Window, Array]:
        """Return the distance of pixels to a line of straight pieces [mm], in a window around it.

        Args:
            points: Corners of the line, x and y [mm], `(N, 2)`.
            reach: Distance up to which it is wanted [mm].
        """
        window = self._window(points.min(axis=0) - reach, points.max(axis=0) + reach)
        x, y = self.x[:, window[1]], self.y[window[0]]
        best = np.full((y.shape[0], x.shape[1]), np.inf, np.float32)
        if not best.size:
            return window, best
        pieces = points.astype(np.float32)
        for start, stop in pairwise(pieces):
            along = stop - start
            length = max(float(along @ along), 1e-6)
            share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1)
            best = np.minimum(best, (x - start[0] - share * along[0]) ** 2 + (y - start[1] - share * along[1]) ** 2)
        return window, np.asarray(np.sqrt(best), np.float32)

    def dust(self, points: NDArray[np.floating], weights: NDArray[np.floating], spread: float) -> Array:
        """Return the map of many points, each a Gaussian of deviation `spread` [mm] and height `weights`.

        Args:
            points: x and y [mm], `(N, 2)`.
            weights: Height of each, `(N,)`.
            spread: Standard deviation [mm].
        """
        deviation = max(spread / self.spacing, 0.5)
        places = np.floor(points / self.spacing + self.middle).astype(int)
        seen = ((places >= 0) & (places < (self.columns, self.rows))).all(axis=1)
        flat = places[seen, 1] * self.columns + places[seen, 0]
        heights = weights[seen] * 2 * np.pi * (spread / self.spacing) ** 2
        drawn = np.bincount(flat, heights, self.rows * self.columns).reshape(self.rows, self.columns)
        return np.asarray(ndimage.gaussian_filter(drawn.astype(np.float32), deviation, truncate=3.0))

    def smooth_field(self, rng: Generator, scale: float) -> Array:
        """Return a field `(H, W)` of mean 0 and deviation 1, smooth on `scale` [mm], the same for any size."""
        left, top, _, _ = self.edges
        last = int(np.ceil(2 * FIELD_OF_VIEW / scale))
        across = spline_weights((self.x[0] - left) / scale, last)
        down = spline_weights((self.y[:, 0] - top) / scale, last)
        nodes = rng.standard_normal((last + 3, last + 3), dtype=np.float32)
        return np.asarray(down @ nodes @ across.T, np.float32)

    def _window(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> Window:
        """Return the rows and columns between two corners [mm]."""
        first = np.clip(np.floor(low / self.spacing + self.middle), 0, (self.columns, self.rows)).astype(int)
        last = np.clip(np.ceil(high / self.spacing + self.middle), 0, (self.columns, self.rows)).astype(int)
        return slice(first[1], last[1]), slice(first[0], last[0])


def curve(points: NDArray[np.floating], pieces: int) -> NDArray[np.float64]:
    """Return a smooth line through points `(N, 2)`, as `pieces` straight ones."""
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return np.asarray(CubicSpline(steps, points)(np.linspace(0, steps[-1], pieces + 1)))
