"""Material maps of a slice: the density of each material in each pixel, from which every energy bin follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.decomposition import monoenergetic_image
from scanweave.physics.spectral.materials import density
from scanweave.simulate.ct.plane import Plane

Array = NDArray[np.float32]

MATERIALS = ("water", "soft_tissue", "adipose", "bone", "blood", "iodine", "gadolinium")
"""Materials of all phantoms, in the order of their maps."""
MG_PER_ML = 1e-3
"""Concentration of a contrast agent in mg/mL, as a density [g/cm³]."""


@dataclass(frozen=True, eq=False)
class MaterialMap:
    """A slice as material densities.

    Attributes:
        materials: Names of the M materials, as in the table of attenuation.
        densities: Mass of each material in a volume [g/cm³], `(M, H, W)` float32; air is the absence of all.
        plane: The grid.
    """

    materials: tuple[str, ...]
    densities: Array
    plane: Plane

    def __post_init__(self) -> None:
        wanted = (len(self.materials), self.plane.rows, self.plane.columns)
        if self.densities.shape != wanted:
            raise ScanweaveError("densities", f"have the shape {self.densities.shape}, not {wanted}", "Give (M, H, W)")

    def __getitem__(self, material: str) -> Array:
        """Return the density map of one material [g/cm³], `(H, W)`."""
        return np.asarray(self.densities[self.materials.index(material)])

    def coarsened(self, factor: int) -> MaterialMap:
        """Return the map on pixels `factor` times larger: averages over their area, so that mass is kept.

        Raises:
            ScanweaveError: The number of pixels is no multiple of the factor.
        """
        rows, columns = self.plane.rows // factor, self.plane.columns // factor
        if (rows * factor, columns * factor) != (self.plane.rows, self.plane.columns):
            raise ScanweaveError(
                "supersampling",
                f"{self.plane.rows} × {self.plane.columns} pixels do not divide by {factor}",
                "Draw the map on plane.finer(factor)",
            )
        blocks = self.densities.reshape(-1, rows, factor, columns, factor)
        averaged = blocks.mean(axis=(2, 4), dtype=np.float64).astype(np.float32)
        return replace(self, densities=averaged, plane=Plane(rows, columns, self.plane.spacing * factor))

    def attenuation(self, energy: float) -> NDArray[np.floating]:
        """Return the attenuation at one energy [keV], in 1/mm, `(H, W)`."""
        return monoenergetic_image(self.densities, self.materials, energy)

    def bin_images(self, matrix: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the attenuation of each bin [1/mm], `(S, H, W)`.

        Args:
            matrix: Mass attenuation of these materials in each bin [cm²/g], `(S, M)` (`binned_attenuation`).
        """
        return np.asarray(0.1 * np.tensordot(matrix, self.densities, axes=(1, 0)))


def contents(fractions: Mapping[str, float], **milligrams: float) -> dict[str, float]:
    """Return material densities [g/cm³] of a mixture.

    Args:
        fractions: Share of the volume that each tissue fills, at its nominal density; the rest is air.
        milligrams: Concentration of each contrast agent [mg/mL].
    """
    tissues = {name: share * density(name) for name, share in fractions.items()}
    return tissues | {name: amount * MG_PER_ML for name, amount in milligrams.items()}
