"""X-ray spectra: three that ship with the package, filters, and what describes a beam."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.physics.spectral.materials import linear_attenuation

Array = NDArray[np.floating]

TUBES = (50, 80, 120)
"""Tube voltages [kV] whose spectra ship: tungsten at 12°, behind 2, 6 and 6 mm of aluminium."""
_LOWEST = 10.0
"""Photons below this energy [keV] are left out: the table of attenuation ends, and filters stop nearly all of them."""

_AIR = np.array(
    [
        (10, 4.742),
        (15, 1.334),
        (20, 0.5389),
        (30, 0.1537),
        (40, 0.06833),
        (50, 0.04098),
        (60, 0.03041),
        (80, 0.02407),
        (100, 0.02325),
        (150, 0.02496),
    ]
)
"""Energy [keV] and mass energy-absorption coefficient of dry air [cm²/g] (Hubbell and Seltzer, NISTIR 5632, 1995)."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons of a beam over energy.

    Attributes:
        energies: Centre of each energy bin [keV], ascending, `(E,)`.
        photons: Photons in each bin, in any unit, `(E,)`; those that ship are per cm² and mAs at 1 m.
        name: What it is, for reports.
    """

    energies: Array
    photons: Array
    name: str = "spectrum"

    def __post_init__(self) -> None:
        if self.energies.ndim != 1 or self.energies.shape != self.photons.shape or not len(self.energies):
            raise ScanweaveError(
                self.name,
                f"has {self.energies.shape} energies and {self.photons.shape} photon numbers",
                "Give two lists of one length",
            )
        fit = np.isfinite(self.photons).all() and (self.photons >= 0).all() and self.photons.sum() > 0
        if not (fit and np.isfinite(self.energies).all() and (np.diff(self.energies) > 0).all()):
            raise ScanweaveError(
                self.name,
                "energies do not ascend, or photon numbers are negative, not finite or all zero",
                "Check the file or the tube settings that it came from",
            )

    @property
    def shares(self) -> Array:
        """Share of the photons in each bin, `(E,)`, summing to 1: S(E)."""
        return np.asarray(self.photons / self.photons.sum())

    @property
    def mean_energy(self) -> float:
        """Mean photon energy [keV]."""
        return float(self.shares @ self.energies)

    def filtered(self, material: str, thickness: float) -> Spectrum:
        """Return the beam behind a filter: Beer–Lambert at every energy.

        Args:
            material: A name of the table of attenuation, such as `"aluminium"`.
            thickness: Thickness of the filter [mm] at its nominal density.
        """
        passed = np.exp(-thickness * linear_attenuation(material, self.energies))
        return replace(self, photons=self.photons * passed, name=f"{self.name} + {thickness:g} mm {material}")

    def air_kerma(self) -> float:
        """Return the air kerma of the beam [relative]: Σ Φ(E) E μ_en(E)/ρ of air."""
        absorption = np.exp(np.interp(np.log(self.energies), *np.log(_AIR.T)))
        return float(np.sum(self.photons * self.energies * absorption))


def tube_spectrum(kvp: int) -> Spectrum:
    """Return a spectrum that ships with the package (`tools/make_spectra.py`, spekpy; see `TUBES`).

    Raises:
        ScanweaveError: None ships for this voltage.
    """
    if kvp not in TUBES:
        shipped = ", ".join(str(known) for known in TUBES)
        raise ScanweaveError(
            "kvp", f"no spectrum of {kvp} kVp ships with scanweave", f"Choose {shipped}, or use spekpy_spectrum"
        )
    energies, columns = _shipped()
    photons = columns[f"{kvp}_kvp"]
    return Spectrum(energies[photons > 0], photons[photons > 0], f"{kvp} kVp")


def spekpy_spectrum(kvp: float, *, aluminium: float = 6.0, anode: float = 12.0) -> Spectrum:
    """Compute the spectrum of a tungsten tube with spekpy (Poludniowski et al., Med Phys 2021).

    Args:
        kvp: Tube voltage [kV], at most 150.
        aluminium: Filter [mm].
        anode: Anode angle [°].

    Raises:
        ScanweaveError: spekpy is not installed.
    """
    tube = require("spekpy", "spectra").Spek(kvp=kvp, th=anode, dk=1.0, mas=1.0, z=100.0)
    tube.filter("Al", aluminium)
    energies, photons = (np.asarray(values, np.float64) for values in tube.get_spectrum())
    kept = (energies > _LOWEST) & (photons > 0)
    return Spectrum(energies[kept], photons[kept], f"{kvp:g} kVp")


def monoenergetic(energy: float) -> Spectrum:
    """Return a beam of one energy [keV]."""
    return Spectrum(np.array([float(energy)]), np.ones(1), f"{energy:g} keV")


def half_value_layer(spectrum: Spectrum, material: str = "aluminium") -> float:
    """Return the thickness [mm] of a material that halves the air kerma of a narrow beam (first HVL)."""
    half = spectrum.air_kerma() / 2
    low, high = 0.0, 1.0
    while spectrum.filtered(material, high).air_kerma() > half:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if spectrum.filtered(material, middle).air_kerma() > half else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=1)
def _shipped() -> tuple[Array, dict[str, Array]]:
    text = files("scanweave.physics.spectral").joinpath("tables/spectra.csv").read_text(encoding="utf-8")
    _, header, _, *rows = csv.reader(text.splitlines())
    values = np.array(rows, dtype=np.float64)
    return values[:, 0], {name: values[:, number] for number, name in enumerate(header) if number}
