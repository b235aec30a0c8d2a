"""The grid of a slice, and smooth random fields on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.simulate.fields import spline_weights

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Plane:
    """Square pixels around the isocentre, as in `CtGeometry`: x grows with the column, y falls with the row.

    Attributes:
        rows: Number of rows H.
        columns: Number of columns W.
        spacing: Edge of a pixel [mm].
    """

    rows: int
    columns: int
    spacing: float

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or not self.spacing > 0:
            raise ScanweaveError(
                "plane", f"{self.rows} × {self.columns} pixels of {self.spacing} mm", "Give positive numbers"
            )

    @classmethod
    def square(cls, size: int, field_of_view: float) -> Plane:
        """Return `size` × `size` pixels over a field of view [mm]."""
        return cls(size, size, field_of_view / size)

    @property
    def height(self) -> float:
        """Length of a column of pixels [mm]."""
        return self.rows * self.spacing

    @property
    def width(self) -> float:
        """Length of a row of pixels [mm]."""
        return self.columns * self.spacing

    def finer(self, factor: int) -> Plane:
        """Return the grid of the same field of view whose pixels are `factor` times smaller."""
        if factor < 1:
            raise ScanweaveError("supersampling", f"a factor of {factor}", "Give a whole number from 1")
        return Plane(self.rows * factor, self.columns * factor, self.spacing / factor)

    def positions(self) -> tuple[Array, Array]:
        """Return x `(1, W)` and y `(H, 1)` of the pixel centres [mm]; the isocentre is 0."""
        x, y = (
            np.asarray((np.arange(count) - (count - 1) / 2) * self.spacing, np.float32)
            for count in (self.columns, self.rows)
        )
        return x[None, :], -y[:, None]

    def smooth_field(self, rng: Generator, scale: float) -> Array:
        """Return a random field `(H, W)` of mean 0 and standard deviation 1, smooth on `scale` [mm].

        It depends on the generator, the field of view and the scale, not on the size of the pixels.
        """
        across, down = (self._weights(count, scale) for count in (self.columns, self.rows))
        nodes = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
        return np.asarray(down @ nodes @ across.T, np.float32)

    def _weights(self, count: int, scale: float) -> Array:
        length = count * self.spacing
        last = int(np.ceil(round(length / scale, 6)))
        return spline_weights((np.arange(count) + 0.5) * self.spacing / scale, last)
