"""From material to photon counts: polyenergetic Beer–Lambert, Poisson and electronic noise.

λ_ib = N0 Σ_E S(E) D_b(E) exp(−Σ_m (μ/ρ)_m(E) a_im), with a_im the area density ∫ρ_m dl of material m along ray i
(Alvarez and Macovski, Phys Med Biol 1976; Roessl and Proksa, Phys Med Biol 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.detectors import Detector, EnergyIntegrating
from scanweave.physics.spectral.materials import attenuation_matrix
from scanweave.physics.spectral.spectra import Spectrum

Array = NDArray[np.floating]

MM_TO_CM = 0.1
_RAYS = 16384
"""Rays a block: the attenuation of a block at all energies stays in cache."""
MAX_PHOTONS = 1e15
"""Largest number of photons a ray: Poisson draws above it overflow."""


def area_densities(densities: Array, project: Callable[[Array], Array]) -> Array:
    """Return the area density of each material along each ray [g/cm²].

    Args:
        densities: Density maps [g/cm³], `(M, H, W)`.
        project: The projector: integrals over millimetres of images `(M, H, W)`, as `(M, V, D)`.
    """
    return np.asarray(MM_TO_CM * np.asarray(project(densities)))


def expected_counts(
    area: Array, materials: Sequence[str], spectrum: Spectrum, detector: Detector, photons: float
) -> Array:
    """Return the expected reading of each bin: counts λ, or keV for an energy-integrating detector.

    Args:
        area: Area densities [g/cm²], `(M, …)`.
        materials: Their names.
        spectrum: The beam.
        detector: What is counted.
        photons: Photons of the open beam N0 that reach one detector element in one view.

    Returns:
        `(S, …)`, float64.

    Raises:
        ScanweaveError: Shapes disagree, an area density is not finite, or `photons` is not a usable number.
    """
    _check(area, materials, photons)
    return _attenuate(area, materials, spectrum, photons * detector.response(spectrum.energies))


def air_counts(spectrum: Spectrum, detector: Detector, photons: float) -> Array:
    """Return the expected reading of each bin without an object, `(S,)`."""
    return np.asarray(photons * detector.response(spectrum.energies) @ spectrum.shares)


def measure(
    area: Array, materials: Sequence[str], spectrum: Spectrum, detector: Detector, photons: float, rng: Generator
) -> Array:
    """Draw noisy readings; arguments as for `expected_counts`.

    Photon counts are Poisson distributed. An energy sum is a scaled Poisson number with the mean Σ E λ(E) and the
    variance Σ E² λ(E) of the compound Poisson law (Whiting, SPIE 2002), plus Gaussian electronic noise, which can make
    it negative. Readings above the limit of the detector are cut to it.
    """
    mean = expected_counts(area, materials, spectrum, detector, photons)
    if isinstance(detector, EnergyIntegrating):
        squared = photons * detector.response(spectrum.energies) * spectrum.energies
        variance = _attenuate(area, materials, spectrum, squared)
        gain = np.divide(variance, mean, out=np.ones_like(mean), where=mean > 0)
        noise = detector.electronic_noise * rng.standard_normal(mean.shape)
        readings = gain * rng.poisson(mean / gain) + noise
    else:
        readings = rng.poisson(mean).astype(np.float64)
    return np.asarray(np.minimum(readings, detector.limit))


def _attenuate(area: Array, materials: Sequence[str], spectrum: Spectrum, weights: Array) -> Array:
    """Return Σ_E w_b(E) S(E) exp(−Σ_m μ_m a_m) for each ray, `(S, …)`; `weights` is `(S, E)`."""
    matrix = attenuation_matrix(materials, spectrum.energies)
    weights = (weights * spectrum.shares).T
    rays = np.asarray(area, np.float64).reshape(len(materials), -1).T
    out = np.empty((len(rays), weights.shape[1]))
    for start in range(0, len(rays), _RAYS):
        block = slice(start, start + _RAYS)
        out[block] = np.exp(-rays[block] @ matrix) @ weights
    return np.ascontiguousarray(out.T).reshape(weights.shape[1], *area.shape[1:])


def _check(area: Array, materials: Sequence[str], photons: float) -> None:
    if area.ndim < 1 or area.shape[0] != len(materials):
        raise ScanweaveError(
            "area densities",
            f"their shape {area.shape} does not begin with {len(materials)} materials",
            "Give one map for each material",
        )
    if not np.isfinite(area).all():
        raise ScanweaveError("area densities", "hold values that are not finite", "Check the maps and the projector")
    if not 0 < photons <= MAX_PHOTONS:
        raise ScanweaveError("photons", f"{photons} photons a ray", f"Give a number above 0 and up to {MAX_PHOTONS:g}")
