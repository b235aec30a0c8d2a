"""Attenuation of materials, from a table that ships with the package.

Energies are in keV, mass attenuation coefficients in cm²/g, densities in g/cm³, linear attenuation in 1/mm. The table
(`tools/make_attenuation.py`: xraylib, compositions of ICRU Report 44) holds 10–150 keV in steps of 1 keV and both sides
of every edge; between its rows the logarithms are interpolated linearly.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError

Array = NDArray[np.floating]

PER_CM_TO_PER_MM = 0.1


@dataclass(frozen=True, eq=False)
class _Table:
    energies: Array
    """Rows [keV], ascending; two of them, 0.2 eV apart, at each edge."""
    columns: dict[str, Array]
    densities: dict[str, float]


@lru_cache(maxsize=1)
def _table() -> _Table:
    text = files("scanweave.physics.spectral").joinpath("tables/attenuation.csv").read_text(encoding="utf-8")
    _, header, density, *rows = csv.reader(text.splitlines())
    values = np.array(rows, dtype=np.float64)
    columns: dict[str, Array] = {name: values[:, number] for number, name in enumerate(header) if number}
    densities = {name: float(cell) for name, cell in zip(header[1:], density[1:], strict=True)}
    return _Table(values[:, 0], columns, densities)


def known_materials() -> tuple[str, ...]:
    """Return names of all materials of the table."""
    return tuple(_table().densities)


def density(material: str) -> float:
    """Return the nominal density [g/cm³] of a material: tissues by ICRU Report 44, elements as solids.

    Raises:
        ScanweaveError: The material is not in the table.
    """
    _check_material(material)
    return _table().densities[material]


def mass_attenuation(material: str, energy: ArrayLike) -> Array:
    """Return the total mass attenuation coefficient μ/ρ [cm²/g], coherent scattering included.

    Args:
        material: A name of `known_materials`.
        energy: Photon energy [keV], any shape, between 10 and 150.

    Raises:
        ScanweaveError: The material is unknown or an energy lies outside the table.
    """
    _check_material(material)
    table, wanted = _table(), np.asarray(energy, np.float64)
    low, high = table.energies[0], table.energies[-1]
    if not np.all((wanted >= low) & (wanted <= high)):
        raise ScanweaveError(
            "energy", f"lies outside the table of attenuation, {low:g} to {high:g} keV", "Choose energies within it"
        )
    return np.exp(np.interp(np.log(wanted), np.log(table.energies), np.log(table.columns[material])))


def attenuation_matrix(materials: Sequence[str], energies: ArrayLike) -> Array:
    """Return μ/ρ [cm²/g] of each material at each energy [keV], `(M, E)`."""
    return np.stack([mass_attenuation(material, energies) for material in materials])


def linear_attenuation(material: str, energy: ArrayLike, density_g_cm3: float | None = None) -> Array:
    """Return μ [1/mm] at an energy [keV], at the nominal density unless another [g/cm³] is given."""
    grams = density(material) if density_g_cm3 is None else density_g_cm3
    return np.asarray(PER_CM_TO_PER_MM * grams * mass_attenuation(material, energy))


def _check_material(material: str) -> None:
    if material not in _table().densities:
        known = ", ".join(known_materials())
        raise ScanweaveError("material", f"{material!r} is not in the table of attenuation", f"Choose among {known}")
