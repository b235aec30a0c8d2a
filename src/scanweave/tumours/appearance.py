"""Looks of tumours: what a drawn one changes in a scan, by rules; networks offer the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.tumours.drawing import DrawnTumour
from scanweave.tumours.fields import Array

FIXED = (-145.0, -65.0)
"""Change where the texture is 1, SynTumor's and Pixel2Cancer's range [HU]; where it is not, about half of it."""
OF_RANGE = (-70.0, -30.0)
"""The same for scans without units, such as MR, in percent of the range of the scan; ours."""
_LEAST_MEAN = 0.05
"""Share of its largest change that a mean must be to be scaled: else single voxels would jump."""
_CORE, _CORE_CHANGE = 0.45, (-25.0, -10.0)
"""Depth from which a core is dead, against the deepest, and what that changes [HU]; ours."""
_RIM_MM, _RIM_CHANGE = 1.5, (20.0, 40.0)
"""Width of a capsule [mm], and what it changes [HU]; ours."""
_SOFTENED_MM = 1.0
_BRIGHT, _VESSEL_MM = 2.5, 0.7
"""Deviations above the median of an organ from which a voxel counts as vessel, after a blur of so many millimetres."""


@dataclass(frozen=True, eq=False)
class Around:
    """Show what lies around a tumour that is drawn.

    Attributes:
        image: Box of the scan, float32, in its own units.
        organ: Voxels of the organ.
        spacing: Size of a voxel along each axis [mm].
        unit: What 1 HU, or 1 percent of the range, is in units of the scan.
    """

    image: Array
    organ: NDArray[np.bool_]
    spacing: Sequence[float]
    unit: float = 1.0


class Appearance(Protocol):
    """A way in which tumours look."""

    def change(self, rng: Generator, tumour: DrawnTumour, around: Around, contrast: float | None) -> Array:
        """Return what the tumour changes where its share is 1, in units of the scan.

        Args:
            rng: The source of chance.
            tumour: As it is drawn.
            around: What lies there.
            contrast: Mean change inside [HU, or percent]; None: drawn.
        """
        ...


@dataclass(frozen=True)
class Rules:
    """Change a scan by a texture of a drawn contrast.

    Attributes:
        contrasts: Least and largest contrast [HU, or percent], of `mean` the means inside of known tumours, any number.
        mean: Whether contrasts are means inside; else they are where the texture is 1, as in SynTumor.
    """

    contrasts: tuple[float, ...] = FIXED
    mean: bool = False

    def change(self, rng: Generator, tumour: DrawnTumour, around: Around, contrast: float | None) -> Array:
        """Return contrast times texture."""
        chance = rng.random()
        if contrast is None and not self.mean:
            low, high = min(self.contrasts), max(self.contrasts)
            return tumour.texture * np.float32((low + chance * (high - low)) * around.unit)
        if contrast is None:
            contrast = self.contrasts[int(chance * len(self.contrasts))]
        return to_mean(tumour.texture, tumour, contrast * around.unit)


def to_mean(change: Array, tumour: DrawnTumour, wanted: float) -> Array:
    """Return a change scaled so that, with the soft border, its mean inside is as wanted.

    Raises:
        ScanweaveError: The change is so uneven that its mean says nothing, as one of both signs may be.
    """
    inside = (change * tumour.soft)[tumour.mask]
    mean = float(inside.mean())
    if abs(mean) < _LEAST_MEAN * float(np.abs(inside).max(initial=0.0)) or mean == 0:
        reason = f"a mean change of {wanted:.3g} cannot be had of what this tumour changes"
        raise ScanweaveError("contrast", reason, "Leave it out, or give another --seed")
    return np.asarray(change * np.float32(wanted / mean), np.float32)


def core_and_rim(rng: Generator, tumour: DrawnTumour, around: Around, *, necrosis: bool, capsule: bool) -> Array:
    """Return what a dead core and a capsule change besides, in units of the scan."""
    depth = ndimage.distance_transform_edt(np.pad(tumour.mask, 1), sampling=around.spacing)[1:-1, 1:-1, 1:-1]
    blur = _SOFTENED_MM / np.asarray(around.spacing)
    core, rim = rng.uniform(*_CORE_CHANGE), rng.uniform(*_RIM_CHANGE)
    made = np.zeros(depth.shape, np.float32)
    if necrosis:
        dead = (depth > _CORE * depth.max()).astype(np.float32)
        made += ndimage.gaussian_filter(dead, blur) * np.float32(core * around.unit)
    if capsule:
        width = max(_RIM_MM, float(max(around.spacing)))
        shell = ((depth > 0) & (depth <= width)).astype(np.float32)
        made += ndimage.gaussian_filter(shell, blur) * np.float32(rim * around.unit)
    return made


def find_vessels(image: Array, organ: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Return voxels of an organ that are much brighter than it, as vessels with contrast agent are."""
    smooth = ndimage.gaussian_filter(image, np.maximum(_VESSEL_MM / np.asarray(spacing), 1.0))
    values = smooth[organ]
    if not values.size:
        return organ.copy()
    middle = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.asarray(organ & (smooth > middle + _BRIGHT * deviation))
