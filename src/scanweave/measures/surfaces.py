"""Measure how far the surfaces of two masks lie apart: Hausdorff distance, mean distance, surface Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from warnings import catch_warnings, simplefilter

import numpy as np
from monai.metrics import compute_surface_dice
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from torch import from_numpy

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import ROUNDING, checked_numbers
from scanweave.studies.preparing.foreground import bounding_box

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Hold two masks on one grid, and measure how far their surfaces lie apart.

    With both masks empty distances are 0 and the surface Dice is 1; with one empty distances are the diagonal of the
    image, the worst that can be, and the surface Dice is 0: a structure that was missed must not fall out of a mean.

    Attributes:
        truth: Mask `(X, Y)` or `(X, Y, Z)`, cut to where either mask is.
        predicted: Likewise.
        spacing: Size of a voxel along each axis [mm].
        worst_mm: Diagonal of the whole image [mm].
    """

    truth: BoolArray
    predicted: BoolArray
    spacing: tuple[float, ...]
    worst_mm: float

    def hausdorff(self, percentile: float = 100, pooled: bool = False) -> float:
        """Return the Hausdorff distance, or a percentile of the distances behind it [mm].

        Distances run from the centre of each voxel of one surface to the nearest of the other; a surface is what an
        erosion by the voxels that share a face takes away. By default the percentile is taken in either direction and
        the larger one returned (Metrics Reloaded, Maier-Hein et al. 2024; MONAI). `pooled` takes one percentile of both
        directions together, which is mostly smaller (MedPy, and papers that used it).

        Args:
            percentile: 100 for the Hausdorff distance, 95 for HD95.
            pooled: Both directions together.

        Raises:
            ScanweaveError: The percentile is not above 0 and at most 100.
        """
        if not 0 < percentile <= 100:
            raise ScanweaveError("percentile", f"{percentile}", "Give one above 0 and at most 100, such as 95")
        if self._known is not None:
            return self._known
        sides = [np.concatenate(self._directions)] if pooled else list(self._directions)
        return max(float(np.percentile(side, percentile)) for side in sides)

    def mean(self) -> float:
        """Return the average symmetric surface distance [mm]: mean over the voxels of both surfaces together.

        ASSD of Metrics Reloaded, MedPy and MONAI; the mean of the two directions' means is another (MASD).
        """
        return self._known if self._known is not None else float(np.concatenate(self._directions).mean())

    def dice(self, tolerance_mm: float) -> float:
        """Return the share of both surfaces that lies within a tolerance of the other, by area (surface Dice, NSD).

        Nikolov et al. 2018, eq. 4, with the area of the surface in every 2×2(×2) neighbourhood as DeepMind's code has
        it (here MONAI's), so that oblique and thick voxels count by what they cover.

        Args:
            tolerance_mm: Distance up to which a surface is right [mm], such as the disagreement of readers.

        Raises:
            ScanweaveError: The tolerance is negative or not finite.
        """
        if not 0 <= tolerance_mm < np.inf:
            raise ScanweaveError("tolerance_mm", f"{tolerance_mm}", "Give 0 mm or more, such as 1")
        if self._known is not None:
            return float(self._known == 0)
        masks = (from_numpy(mask[None, None]) for mask in (self.predicted, self.truth))
        options = {"include_background": True, "spacing": self.spacing, "use_subvoxels": True}
        with catch_warnings():
            simplefilter("ignore", FutureWarning)  # MONAI 1.6 warns of an argument that it gives itself
            return float(compute_surface_dice(*masks, [tolerance_mm * (1 + ROUNDING)], **options))

    @cached_property
    def _known(self) -> float | None:
        """The distance where a mask is empty, else None."""
        present = int(self.truth.any()) + int(self.predicted.any())
        return None if present == 2 else self.worst_mm if present else 0.0

    @cached_property
    def _directions(self) -> tuple[FloatArray, FloatArray]:
        """Distances [mm] of the voxels of either surface to the other."""
        first, second = (np.argwhere(_surface(mask)) * self.spacing for mask in (self.truth, self.predicted))
        there, back = KDTree(second).query(first)[0], KDTree(first).query(second)[0]
        return there, back


def surface_distances(truth: ArrayLike, predicted: ArrayLike, spacing: Sequence[float]) -> SurfaceDistances:
    """Return the distances between the surfaces of two masks.

    An axis of one voxel is left out: a film `(X, Y, 1)` has an outline, while in space all of it would be surface.

    Args:
        truth: Mask `(X, Y)` or `(X, Y, Z)`.
        predicted: Mask of the same shape.
        spacing: Size of a voxel along each axis [mm].

    Raises:
        ScanweaveError: The shapes differ or are neither plane nor volume, a mask holds values other than 0 and 1, or a
            spacing is not above 0.
    """
    true, found = checked_masks(truth, predicted)
    sizes = np.array(checked_spacing(spacing, true.ndim))
    extent = np.array(true.shape) * sizes
    flat = tuple(axis for axis, length in enumerate(true.shape) if length == 1)
    kept = tuple(float(size) for axis, size in enumerate(sizes) if axis not in flat)
    if len(kept) not in (2, 3):
        raise ScanweaveError("masks", f"of shape {true.shape}", "Give a plane (X, Y) or a volume (X, Y, Z)")
    box = bounding_box(true | found)
    true, found = (np.ascontiguousarray(mask[box].squeeze(flat)) for mask in (true, found))
    diagonal = np.linalg.norm([length for axis, length in enumerate(extent) if axis not in flat])
    return SurfaceDistances(true, found, kept, float(diagonal))


def checked_masks(truth: ArrayLike, predicted: ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Return two masks as booleans.

    Raises:
        ScanweaveError: Their shapes differ, or one holds values other than 0 and 1.
    """
    masks = []
    for name, mask in (("truth", truth), ("predicted", predicted)):
        values = np.asarray(mask)
        if values.dtype != bool and not np.isin(values, (0, 1)).all():
            raise ScanweaveError(name, "it holds values other than 0 and 1", "Give the mask of one structure")
        masks.append(values.astype(bool))
    if masks[0].shape != masks[1].shape:
        reason = f"of shape {masks[1].shape} for a truth of shape {masks[0].shape}"
        raise ScanweaveError("predicted", reason, "Put both on the same grid")
    return masks[0], masks[1]


def checked_spacing(spacing: Sequence[float], axes: int) -> tuple[float, ...]:
    """Return the size of a voxel along each axis [mm].

    Raises:
        ScanweaveError: There is not one for each axis, or one is not above 0.
    """
    sizes = checked_numbers("spacing", spacing)
    if sizes.shape != (axes,) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ScanweaveError("spacing", f"{spacing} for {axes} axes", "Give a size above 0 mm for each axis")
    return tuple(float(size) for size in sizes)


def _surface(mask: BoolArray) -> BoolArray:
    """Return the voxels that share a face with the outside; beyond the image all is outside."""
    return mask & ~binary_erosion(mask)
