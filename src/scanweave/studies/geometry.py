"""Grids of voxels in the patient: their places, comparison, reorientation and resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]

SAME_GRID_MM = 1e-2
"""Two grids whose corners lie within this distance are one grid: float32 headers round at about 1e-4 mm."""

ORTHOGONAL_TOLERANCE = 1e-3
"""Largest cosine between two axes of a grid that still counts as orthogonal (0.06 degrees)."""

LARGEST_ENTRY_MM = 1e9
"""Largest number in an affine that can be told from damage; what is merely far is told by the check of grids."""

LEAST_VOLUME = 1e-6
"""Volume of the box of three unit vectors along the axes below which two of them coincide."""

EDGE = 1e-3
"""Share of a voxel by which a point may lie outside of a grid and still count as in it: rounding."""

Interpolation = Literal["nearest", "linear", "cubic"]
Space = Literal["patient", "film", "pixels"]
"""Space of a grid's positions. `patient`: RAS mm; `film`: mm in the plane of a film whose place in the patient is not
known; `pixels`: as `film`, and the spacing is not known either, so that one step counts as 1."""
_ORDER: dict[Interpolation, int] = {"nearest": 0, "linear": 1, "cubic": 3}


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid in the patient.

    Attributes:
        shape: Voxels along each axis, `(X, Y, Z)`.
        affine: `(4, 4)`, voxel index → RAS position [mm].
        space: What those positions are; of a film they are no places in the patient.
    """

    shape: tuple[int, int, int]
    affine: FloatArray
    space: Space = "patient"

    @classmethod
    def of(cls, shape: ArrayLike, affine: ArrayLike, space: Space = "patient") -> Geometry:
        """Build from any shape (the first three axes count) and affine."""
        x, y, z = (int(n) for n in np.asarray(shape)[:3])
        return cls((x, y, z), np.array(affine, dtype=np.float64), space)

    @classmethod
    def of_film(cls, width: int, height: int, spacing: tuple[float, float] | None = None) -> Geometry:
        """Build the grid of a film `(width, height, 1)`: columns from left to right, rows from top to bottom.

        Args:
            width: Columns.
            height: Rows.
            spacing: Distance of columns and of rows [mm]; None: not known.
        """
        across, down = spacing or (1.0, 1.0)
        return cls((width, height, 1), np.diag([-across, -down, 1.0, 1.0]), "film" if spacing else "pixels")

    @property
    def is_placed(self) -> bool:
        """Tell whether its positions are places in the patient."""
        return self.space == "patient"

    @property
    def spacing_known(self) -> bool:
        """Tell whether its spacing is in millimetres."""
        return self.space != "pixels"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis [mm]."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def orientation(self) -> str:
        """Nearest anatomical direction of each axis, such as `"RAS"`."""
        from nibabel.orientations import aff2axcodes

        return "".join(aff2axcodes(self.affine))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def fault(self) -> str | None:
        """Say why this grid cannot be placed in a patient; None if it can."""
        if not np.isfinite(self.affine).all():
            return "the affine holds NaN or Inf"
        if float(np.abs(self.affine).max()) > LARGEST_ENTRY_MM:
            return f"the affine holds {np.abs(self.affine).max():.3g}, which is no length in a patient"
        if min(self.spacing) < 1e-6 or abs(np.linalg.det(self.affine[:3, :3] / self.spacing)) < LEAST_VOLUME:
            return "the affine is singular: some axis has no length or two axes coincide"
        return None

    @property
    def skew(self) -> float:
        """Largest cosine between two of the three axes: 0 at right angles."""
        axes = self.affine[:3, :3] / np.array(self.spacing)
        return float(np.abs(axes.T @ axes - np.eye(3)).max())

    @property
    def is_orthogonal(self) -> bool:
        """Tell whether the three axes stand at right angles."""
        return self.skew <= ORTHOGONAL_TOLERANCE

    def positions(self, indices: ArrayLike) -> FloatArray:
        """Return RAS positions `(N, 3)` [mm] of voxel indices `(N, 3)`."""
        from nibabel.affines import apply_affine

        return apply_affine(self.affine, np.asarray(indices, dtype=np.float64))

    def corners(self) -> FloatArray:
        """Return RAS positions `(8, 3)` [mm] of the centres of the corner voxels."""
        last = np.array(self.shape) - 1
        return self.positions(np.array(list(np.ndindex(2, 2, 2))) * last)

    def distance(self, other: Geometry) -> float:
        """Return the largest distance between equal corners [mm]; infinite if the shapes differ.

        Grids of which one is a film's are compared by shape and by order and direction of axes only.
        """
        if self.shape != other.shape:
            return float("inf")
        if not (self.is_placed and other.is_placed):
            return 0.0 if self.orientation == other.orientation else float("inf")
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def matches(self, other: Geometry) -> bool:
        """Tell whether both are one grid to within `SAME_GRID_MM`."""
        return self.distance(other) <= SAME_GRID_MM

    def overlap(self, other: Geometry) -> float:
        """Share of this grid's volume that lies within `other`, in [0, 1], from a lattice of 16³ points."""
        from nibabel.affines import apply_affine

        steps = [(np.arange(16) + 0.5) / 16 * n - 0.5 for n in self.shape]
        lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        inside = apply_affine(np.linalg.inv(other.affine) @ self.affine, lattice)
        return float(((inside >= -0.5) & (inside <= np.array(other.shape) - 0.5)).all(axis=1).mean())

    def oriented(self, axes: str = "RAS") -> Geometry:
        """Return the same voxels with axes flipped and permuted to lie nearest to `axes`, as `"RAS"` or `"LPS"`."""
        from nibabel import orientations

        flips = _flips(self, axes)
        shape = np.empty(3, dtype=int)
        shape[flips[:, 0].astype(int)] = self.shape
        return Geometry.of(shape, self.affine @ orientations.inv_ornt_aff(flips, self.shape), self.space)

    def straightened(self) -> Geometry:
        """Return the smallest grid at right angles and of the same spacing that holds this one; itself if it is one.

        Its directions are the nearest rotation in the sense of Frobenius (polar decomposition).
        """
        if self.is_orthogonal:
            return self
        spacing = np.array(self.spacing)
        left, _, right = np.linalg.svd(self.affine[:3, :3] / spacing)
        axes = (left @ right) * spacing
        inside = np.linalg.solve(axes, self.corners().T)
        lowest, highest = inside.min(axis=1), inside.max(axis=1)
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = axes, axes @ lowest
        shape = np.ceil(highest - lowest - EDGE).astype(int) + 1
        return Geometry.of(shape, affine, self.space)

    def crop(self, start: ArrayLike, stop: ArrayLike) -> Geometry:
        """Return the box of voxels from `start` to `stop` (exclusive); may reach beyond the grid."""
        affine = self.affine.copy()
        affine[:3, 3] = self.positions(np.atleast_2d(start))[0]
        return Geometry.of(np.asarray(stop) - np.asarray(start), affine, self.space)

    def with_spacing(self, spacing: ArrayLike) -> Geometry:
        """Return a grid over the same box with another spacing [mm]; the outer faces of the first voxels coincide."""
        old, new = np.array(self.spacing), np.array(spacing, dtype=np.float64)
        shape = np.maximum(1, np.round(np.array(self.shape) * old / new)).astype(int)
        step = np.array(self.shape) / shape
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * step
        affine[:3, 3] = self.positions([(step - 1) / 2])[0]
        return Geometry.of(shape, affine, self.space)


def orient(data: NDArray[np.generic], geometry: Geometry, axes: str = "RAS") -> NDArray[np.generic]:
    """Flip and permute `data` from `geometry` to `geometry.oriented(axes)`; exact, a view where it can be."""
    from nibabel import orientations

    return orientations.apply_orientation(data, _flips(geometry, axes))


def orient_back(data: NDArray[np.generic], geometry: Geometry, axes: str = "RAS") -> NDArray[np.generic]:
    """Bring `data` from `axes` back to the axes of `geometry`: the inverse of `orient`."""
    from nibabel import orientations

    own = orientations.io_orientation(geometry.affine)
    return orientations.apply_orientation(data, orientations.ornt_transform(orientations.axcodes2ornt(axes), own))


def _flips(geometry: Geometry, axes: str) -> FloatArray:
    from nibabel import orientations

    own = orientations.io_orientation(geometry.affine)
    return orientations.ornt_transform(own, orientations.axcodes2ornt(axes))


def resample(
    data: FloatArray, source: Geometry, target: Geometry, interpolation: Interpolation = "linear", outside: float = 0.0
) -> FloatArray:
    """Sample `data` `(X, Y, Z)` or `(X, Y, Z, T)` on `source` at the voxel centres of `target`.

    Returns an array of `target.shape` (and T) in the dtype of `data`; `outside` fills what lies outside of the voxels
    of `source`. Grids that differ by the order and direction of their axes only are turned, which is exact. When the
    target is coarser, the data are smoothed first (Gaussian, σ = (ratio − 1) / 2 voxels) against aliasing.
    """
    from scipy import ndimage

    axes = target.orientation
    data, source = orient(data, source, axes), source.oriented(axes)  # type: ignore[assignment]
    if source.matches(target):
        return data
    transform = np.linalg.inv(source.affine) @ target.affine
    ratio = np.linalg.norm(transform[:3, :3], axis=1)
    sigma = np.maximum(0.0, (ratio - 1.0) / 2.0) if interpolation != "nearest" else np.zeros(3)
    covered = _covered(transform, source, target)

    def one(volume: FloatArray) -> FloatArray:
        if sigma.max() > 0.05:
            volume = ndimage.gaussian_filter(volume, sigma)
        made = ndimage.affine_transform(
            volume,
            transform[:3, :3],
            transform[:3, 3],
            output_shape=target.shape,
            order=_ORDER[interpolation],
            mode="nearest",
        )
        made[~covered] = outside
        return made

    if data.ndim == 3:
        return one(data)
    return np.stack([one(data[..., t]) for t in range(data.shape[3])], axis=-1)


def _covered(transform: FloatArray, source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """Return a mask of the `target` voxels whose centres lie in `source`; `transform` maps indices to indices."""
    covered = np.ones(target.shape, dtype=bool)
    x, y, z = np.ogrid[tuple(slice(0, size) for size in target.shape)]
    for row, size in zip(transform, source.shape, strict=False):
        index = row[0] * x + row[1] * y + row[2] * z + row[3]
        covered &= (index >= -0.5 - EDGE) & (index <= size - 0.5 + EDGE)
    return covered
