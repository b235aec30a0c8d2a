"""The rays of a scan as Joseph's method walks them: row by row or column by column of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.ct.geometry import CtGeometry

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lines:
    """Rays that cross each row of a grid once: at row r, ray k is at column start[k] + slope[k]·r.

    Attributes:
        grid: Rows and columns as they are walked `(R, n)`: the transposed image where rays are walked by its columns.
        index: Number of each ray in the flat sinogram `(K,)`.
        start: Column where it meets row 0 `(K,)`.
        slope: Columns from row to row `(K,)`, within ±1.
        length: Its length between two rows `(K,)` [mm].
    """

    grid: tuple[int, int]
    index: NDArray[np.int64]
    start: Array
    slope: Array
    length: Array

    def crossings(self) -> int:
        """Return in how many rows, over all rays, a ray lies between two columns of the grid, or beside its border."""
        rows, columns = self.grid
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = (np.array([-1.0, columns])[:, None] - self.start) / self.slope
        level = self.slope == 0
        inside = (self.start > -1) & (self.start < columns)
        first = np.where(level, 0, np.ceil(np.clip(ends.min(0), 0, rows)))
        last = np.where(level, rows * inside, np.floor(np.clip(ends.max(0), -1, rows - 1)) + 1)
        return int(np.maximum(last - first, 0).sum())


def joseph_lines(geometry: CtGeometry) -> tuple[Lines, Lines]:
    """Return the steep rays, walked by the image's rows, and the flat ones, walked by its columns.

    Joseph, IEEE Trans Med Imaging 1(3), 1982: step along the axis that the ray follows more, and interpolate linearly
    across it; the sum times the ray's length between two steps is the line integral.
    """
    height, width = geometry.shape
    ends = geometry.rays().reshape(-1, 2, 2) / geometry.pixel
    x, y = ends[:, 0, 0] + (width - 1) / 2, (height - 1) / 2 - ends[:, 0, 1]
    direction = ends[:, 1] - ends[:, 0]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    right, down = direction[:, 0], -direction[:, 1]
    steep = np.abs(down) >= np.abs(right)
    return (
        _lines((height, width), geometry.pixel, np.flatnonzero(steep), x[steep], y[steep], right[steep], down[steep]),
        _lines(
            (width, height), geometry.pixel, np.flatnonzero(~steep), y[~steep], x[~steep], down[~steep], right[~steep]
        ),
    )


def _lines(
    grid: tuple[int, int], pixel: float, index: NDArray[np.int64], across: Array, along: Array, da: Array, db: Array
) -> Lines:
    """Return the lines through (`across`, `along`) in direction (`da`, `db`), walked in the second coordinate."""
    slope = da / db
    return Lines(grid, index.astype(np.int64), across - along * slope, slope, pixel / np.abs(db))
