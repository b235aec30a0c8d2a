"""One image of a study: a grid and an array that is read on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.studies.findings import Finding
from scanweave.studies.geometry import Geometry, Space, resample

COLOURS = ("red", "green", "blue")
LUMINANCE = (0.299, 0.587, 0.114)
"""Share of red, green and blue in a grey value (ITU-R BT.601)."""
ONE_FRAME = Finding("series", "repaired", "4D with a single frame", "the time axis is dropped")


@dataclass(frozen=True, eq=False)
class Scan:
    """An image in the patient.

    Attributes:
        geometry: Its grid.
        load: Reads the array; called once, on first use of `data`.
        frames: Length of the time axis T, or None for a static image.
        channels: Names of the numbers that each voxel holds, such as red, green and blue, or None where it is one
            number; never together with a time axis.
        times: Time of each frame [s], `(T,)`, where the file tells it.
        b_values: Diffusion weighting of each frame [s/mm²], `(T,)`, where a file tells it.
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
    channels: tuple[str, ...] | None = None
    b_values: NDArray[np.floating] | None = None

    @classmethod
    def of(
        cls,
        data: ArrayLike,
        affine: ArrayLike,
        *,
        synthetic: bool = False,
        channels: tuple[str, ...] | None = None,
        space: Space = "patient",
        times: ArrayLike | None = None,
        b_values: ArrayLike | None = None,
    ) -> Scan:
        """Build from an array `(X, Y, Z)`, `(X, Y, Z, T)` or `(X, Y, Z, C)` and its affine (voxel → RAS mm).

        Args:
            data: The array.
            affine: Where its voxels lie.
            synthetic: Whether a model made it.
            channels: Names of the fourth axis, where that is colour and not time.
            space: What the affine's positions are; see `Geometry`.
            times: Time of each frame of a series [s], and
            b_values: its diffusion weighting [s/mm²].

        Raises:
            ScanweaveError: The axes are not those, the affine cannot be inverted, or times are not one a frame.
        """
        array = np.asarray(data)
        if channels is not None and (array.ndim != 4 or array.shape[3] != len(channels)):
            raise ScanweaveError(
                "data",
                f"has the shape {array.shape} for {len(channels)} channels",
                "Pass (X, Y, Z, C), a name for each",
            )
        if array.ndim not in (3, 4):
            raise ScanweaveError("data", f"a scan has 3 or 4 axes, not {array.ndim}", "Pass (X, Y, Z) or (X, Y, Z, T)")
        geometry = Geometry.of(array.shape, affine, space)
        if geometry.fault:
            raise ScanweaveError("affine", geometry.fault, "Pass an invertible 4 × 4 voxel-to-millimetre affine")
        frames = array.shape[3] if array.ndim == 4 and channels is None else None
        return cls(
            geometry,
            lambda: array,
            frames=frames,
            times=_one_each(times, frames, "times"),
            synthetic=synthetic,
            channels=channels,
            b_values=_one_each(b_values, frames, "b_values"),
        )

    def __repr__(self) -> str:
        steps = "×".join(f"{length:.3g}" for length in self.geometry.spacing)
        spacing = f"at {steps} mm" if self.geometry.spacing_known else "of unknown spacing"
        place = self.geometry.orientation if self.geometry.is_placed else self.what
        made = ", synthetic" if self.synthetic else ""
        where = f", {self.path}" if self.path else ""
        return f"<Scan {self.size} {spacing}, {place}{made}{where}>"

    def _repr_html_(self) -> str:
        """Show the middle slice in a notebook."""
        html: str = resolve("scanweave.studies.previews:scan_page")(self)
        return html

    def save(self, path: str | Path) -> Path:
        """Write it as NIfTI, `.nii` or `.nii.gz`, whole or not at all; return the path.

        Raises:
            ScanweaveError: It is named otherwise, its voxels cannot be read, or the disk refuses.
        """
        written: Path = resolve("scanweave.studies.formats.image_writer:write_scan")(path, self)
        return written

    @property
    def size(self) -> str:
        """Its shape in words, such as `"240×240×155"`."""
        last = self.frames or len(self.channels or ())
        return "×".join(map(str, self.geometry.shape)) + (f"×{last}" if last else "")

    @property
    def what(self) -> str:
        """Name of what it is: `"volume"`, `"series"`, `"slice"`, `"film"` or, in colour, `"photograph"`."""
        if self.frames:
            return "series"
        if self.geometry.shape[2] > 1:
            return "volume"
        if self.geometry.is_placed:
            return "slice"
        return "photograph" if self.channels else "film"

    def grey(self) -> Scan:
        """Return the scan as one number a voxel: the luminance of red, green and blue; itself where it is one already.

        Raises:
            ScanweaveError: Its channels are other ones.
        """
        if self.channels is None:
            return self
        if self.channels != COLOURS:
            named = ", ".join(self.channels)
            raise ScanweaveError(self.path or "data", f"its channels are {named}, not colours", "Choose one of them")

        def load() -> NDArray[np.generic]:
            return np.asarray(self.load() @ np.array(LUMINANCE, dtype=np.float32), dtype=np.float32)

        return replace(self, load=load, channels=None)

    @cached_property
    def data(self) -> NDArray[np.generic]:
        """The array, `(X, Y, Z)`, `(X, Y, Z, T)` or `(X, Y, Z, C)`, in the units of the file."""
        return self.load()

    def released(self) -> Scan:
        """Return the same scan with nothing held in memory."""
        return replace(self)

    def straightened(self) -> Scan:
        """Return the scan on a grid at right angles that holds its own: label maps (whole numbers) by the nearest.

        What the sheared grid does not cover holds the lowest value, of a label map 0.
        """
        grid, data = self.geometry.straightened(), np.asarray(self.data)
        whole = data.dtype.kind in "iub"
        values = data if whole else data.astype(np.float32, copy=False)
        outside = 0.0 if whole else float(np.nanmin(values))
        made = resample(values, self.geometry, grid, "nearest" if whole else "linear", outside)
        return replace(self, geometry=grid, load=lambda: made)

    def channel(self, number: int) -> Scan:
        """Return one channel of an image whose fourth axis holds scans or colours, not time, as a scan of its own.

        Raises:
            ScanweaveError: There is no such channel.
        """
        there = self.frames or len(self.channels or ()) or 1
        if not 0 <= number < there:
            raise ScanweaveError(
                self.path or "data",
                f"has {there} channels, so no channel {number}",
                "Check the file, or import the cohort again",
            )
        if self.frames is None and self.channels is None:
            return self
        return replace(
            self,
            load=lambda: self.load()[..., number].copy(order="F"),
            frames=None,
            times=None,
            channels=None,
            b_values=None,
        )


def _one_each(values: ArrayLike | None, frames: int | None, what: str) -> NDArray[np.float64] | None:
    if values is None:
        return None
    found = np.array(values, dtype=np.float64)
    if found.shape != (frames,):
        raise ScanweaveError(what, f"has the shape {found.shape} for {frames or 'no'} frames", "Give one a frame")
    return found
