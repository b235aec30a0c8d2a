"""One image of a study: a grid and an array that is read on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry

ONE_FRAME = Finding("series", "repaired", "4D with a single frame", "the time axis is dropped")


@dataclass(frozen=True, eq=False)
class Scan:
    """An image in the patient.

    Attributes:
        geometry: Its grid.
        load: Reads the array; called once, on first use of `data`.
        frames: Length of the time axis T, or None for a static image.
        times: Time of each frame [s], `(T,)`, where the file tells it.
        path: The file it came from, if any.
        synthetic: Whether a model made it.
        notes: What was peculiar about the file, and how it was read nevertheless.
    """

    geometry: Geometry
    load: Callable[[], NDArray[np.generic]]
    frames: int | None = None
    times: NDArray[np.floating] | None = None
    path: Path | None = None
    synthetic: bool = False
    notes: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, data: ArrayLike, affine: ArrayLike, *, synthetic: bool = False) -> Scan:
        """Build from an array `(X, Y, Z)` or `(X, Y, Z, T)` and its affine (voxel → RAS mm)."""
        array = np.asarray(data)
        if array.ndim not in (3, 4):
            raise ScanweaveError("data", f"a scan has 3 or 4 axes, not {array.ndim}", "Pass (X, Y, Z) or (X, Y, Z, T)")
        geometry = Geometry.of(array.shape, affine)
        if geometry.fault:
            raise ScanweaveError("affine", geometry.fault, "Pass an invertible 4 × 4 voxel-to-millimetre affine")
        return cls(geometry, lambda: array, frames=array.shape[3] if array.ndim == 4 else None, synthetic=synthetic)

    def __repr__(self) -> str:
        spacing = "×".join(f"{length:.3g}" for length in self.geometry.spacing)
        made = ", synthetic" if self.synthetic else ""
        where = f", {self.path}" if self.path else ""
        return f"<Scan {self.size} at {spacing} mm, {self.geometry.orientation}{made}{where}>"

    @property
    def size(self) -> str:
        """Its shape in words, such as `"240×240×155"`."""
        return "×".join(map(str, self.geometry.shape)) + (f"×{self.frames}" if self.frames else "")

    @cached_property
    def data(self) -> NDArray[np.generic]:
        """The array, `(X, Y, Z)` or `(X, Y, Z, T)`, in the units of the file."""
        return self.load()

    def released(self) -> Scan:
        """The same scan with nothing held in memory."""
        return replace(self)

    def channel(self, number: int) -> Scan:
        """One channel of an image whose fourth axis holds sequences, not time, as a scan of its own.

        Raises:
            ScanweaveError: There is no such channel.
        """
        if not 0 <= number < (self.frames or 1):
            raise ScanweaveError(
                self.path or "data",
                f"has {self.frames or 1} channels, so no channel {number}",
                "Check the file, or import the cohort again",
            )
        if self.frames is None:
            return self
        return replace(self, load=lambda: self.load()[..., number].copy(order="F"), frames=None, times=None)
