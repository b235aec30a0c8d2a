"""Material maps of real CT volumes.

A CT number alone does not tell a mixture, so a rule must: at the reference energy a voxel holds volume fractions of
the two anchors whose CT numbers enclose its own, which gives back that CT number exactly.

| CT number [HU] | mixture |
|---|---|
| below −1000 | air (nothing) |
| −1000 to `LUNG` | air and soft tissue |
| `LUNG` to adipose (−76) | air and adipose |
| adipose to water to soft tissue (53) | the two neighbours |
| soft tissue to cortical bone (1559) | soft tissue and bone |
| above, up to `MAX_HU` | bone, denser |

Contrast agent of the scan reads as some bone, unless a mask says where it is: there a voxel denser than blood is blood
and as much iodine as gives its CT number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.decomposition import hounsfield
from scanweave.physics.spectral.materials import density, linear_attenuation
from scanweave.simulate.ct.maps import MATERIALS, MaterialMap
from scanweave.simulate.ct.plane import Plane
from scanweave.studies.geometry import orient
from scanweave.studies.scan import Scan

REFERENCE = 70.0
"""Energy at which scanners of about 120 kVp calibrate their CT numbers, roughly [keV]."""
AIR, LUNG, MAX_HU = -1000.0, -200.0, 3000.0
_ANCHORS = ("adipose", "water", "soft_tissue", "bone")


def anchors(energy: float = REFERENCE) -> dict[str, float]:
    """Return the CT number of each anchor material [HU] at an energy [keV]."""
    return {name: float(hounsfield(linear_attenuation(name, energy), energy)) for name in _ANCHORS}


def densities_of_hounsfield(
    numbers: ArrayLike, energy: float = REFERENCE, enhanced: ArrayLike = False
) -> NDArray[np.float32]:
    """Return the density [g/cm³] of each of `MATERIALS` by the rule above, `(M, …)`.

    Args:
        numbers: CT numbers [HU], any shape.
        energy: Energy at which they hold [keV].
        enhanced: Where there is iodine in blood; broadcasts against `numbers`.

    Raises:
        ScanweaveError: A CT number is not finite.
    """
    hu = np.asarray(numbers, np.float64)
    if not np.isfinite(hu).all():
        raise ScanweaveError("CT numbers", "hold values that are not finite", "Check the volume")
    hu, known = np.clip(hu, AIR, MAX_HU), anchors(energy)
    fractions = {name: np.interp(hu, list(known.values()), row) for name, row in zip(known, np.eye(4), strict=True)}
    air = hu < known["adipose"]
    lung = hu < LUNG
    fractions["adipose"] = np.where(air, ~lung * _share(hu, known["adipose"]), fractions["adipose"])
    fractions["soft_tissue"] = np.where(lung, _share(hu, known["soft_tissue"]), fractions["soft_tissue"])
    fractions["bone"] = np.where(hu > known["bone"], _share(hu, known["bone"]), fractions["bone"])
    densities = np.zeros((len(MATERIALS), *hu.shape), np.float32)
    for name, share in fractions.items():
        densities[MATERIALS.index(name)] = density(name) * share
    excess = linear_attenuation("water", energy) * (1 + hu / 1000) - linear_attenuation("blood", energy)
    vessel = np.asarray(enhanced, bool) & (excess > 0)
    iodine = excess / linear_attenuation("iodine", energy, 1.0)
    densities[:, vessel] = 0
    densities[MATERIALS.index("blood"), vessel] = density("blood")
    densities[MATERIALS.index("iodine"), vessel] = iodine[vessel]
    return densities


def axial_map(
    scan: Scan, index: int, plane: Plane, *, energy: float = REFERENCE, enhanced: Scan | None = None
) -> MaterialMap:
    """Return the material map of an axial slice, resampled in its plane: anterior up, the patient's right to the left.

    Args:
        scan: A CT volume in HU, `(X, Y, Z)`, whose axes lie along those of the patient within 45°.
        index: Number of the slice, from the feet.
        plane: The grid; its centre is that of the slice. A finer plane interpolates CT numbers linearly.
        energy: Energy at which the CT numbers hold [keV].
        enhanced: A mask on the grid of `scan`: above 0 where there is iodine in blood.

    Raises:
        ScanweaveError: There is no such slice, the volume has a time axis, or the mask another grid.
    """
    if scan.frames is not None:
        raise ScanweaveError(scan.path or "scan", "is a time series, not one CT volume", "Choose one frame")
    grid = scan.geometry.oriented("LPS")
    if not 0 <= index < grid.shape[2]:
        raise ScanweaveError(
            scan.path or "scan", f"has {grid.shape[2]} axial slices, so no slice {index}", "Choose one of them"
        )
    if enhanced is not None and not enhanced.geometry.matches(scan.geometry):
        raise ScanweaveError(enhanced.path or "enhanced", "lies on another grid than the CT", "Resample it to the CT")
    numbers = _sample(scan, index, plane, order=1, outside=AIR)
    mask = False if enhanced is None else _sample(enhanced, index, plane, order=0, outside=0.0) > 0
    return MaterialMap(MATERIALS, densities_of_hounsfield(numbers, energy, mask), plane)


def _share(hu: NDArray[np.float64], full: float) -> NDArray[np.float64]:
    """Return the volume fraction of a material with the CT number `full` that, with air, gives the CT number."""
    return np.asarray((hu - AIR) / (full - AIR))


def _sample(scan: Scan, index: int, plane: Plane, *, order: int, outside: float) -> NDArray[np.float64]:
    """Return an axial slice at the pixel centres of a plane, `(H, W)`."""
    spacing = scan.geometry.oriented("LPS").spacing
    picture = np.asarray(orient(scan.data, scan.geometry, "LPS")[:, :, index].T, np.float64)
    x, y = plane.positions()
    rows = -np.asarray(y, np.float64) / spacing[1] + (picture.shape[0] - 1) / 2
    columns = np.asarray(x, np.float64) / spacing[0] + (picture.shape[1] - 1) / 2
    where = np.broadcast_arrays(rows, columns)
    return np.asarray(ndimage.map_coordinates(picture, where, order=order, mode="constant", cval=outside))
