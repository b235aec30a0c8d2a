"""Decomposition of counts, ray by ray: maximum likelihood through the full spectral model.

Unlike the image domain it knows beam hardening; unlike least squares it knows that counts are Poisson distributed
(Schlomka et al., Phys Med Biol 2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.decomposition import binned_attenuation
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.physics.spectral.materials import attenuation_matrix
from scanweave.physics.spectral.spectra import Spectrum

Array = NDArray[np.floating]

_RAYS = 4096
_TINY = 1e-9
"""Smallest expected count: keeps the logarithm finite behind thick metal."""
_BOUND = 200.0
"""Largest step of the line integral of water-like matter in one iteration, in units of its scale."""


def decompose_counts(
    counts: Array,
    materials: Sequence[str],
    spectrum: Spectrum,
    detector: PhotonCounting,
    photons: float,
    *,
    iterations: int = 30,
) -> Array:
    """Return the area density of each material along each ray, by maximum likelihood.

    Fisher scoring on Σ_b λ_b − N_b ln λ_b from the least-squares solution of the log data, with halved steps wherever
    the likelihood would fall. Area densities may come out negative, as noise makes them.

    Args:
        counts: Photon counts N, `(S, …)`, finite and not negative.
        materials: Names of the M ≤ S basis materials.
        spectrum: The beam.
        detector: Thresholds and response, with S bins.
        photons: Photons N0 of the open beam a ray.
        iterations: Largest number of steps.

    Returns:
        Area densities [g/cm²], `(M, …)`, float64.

    Raises:
        ScanweaveError: Bins do not match or counts are no counts.
    """
    if counts.shape[0] != detector.bins or len(materials) > detector.bins:
        raise ScanweaveError(
            "counts",
            f"{counts.shape[0]} bins for a detector of {detector.bins} and {len(materials)} materials",
            "Use the bins of the scan, at least one for each material",
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ScanweaveError("counts", "hold NaN, infinite or negative readings", "Repair them first")
    model = _Model(materials, spectrum, detector, photons)
    rays = np.asarray(counts, np.float64).reshape(detector.bins, -1).T
    blocks = [_solve(rays[start : start + _RAYS], model, iterations) for start in range(0, len(rays), _RAYS)]
    return np.concatenate(blocks).T.reshape(len(materials), *counts.shape[1:])


class _Model:
    """Expected counts of area densities, and their derivatives."""

    def __init__(self, materials: Sequence[str], spectrum: Spectrum, detector: PhotonCounting, photons: float) -> None:
        self.attenuation = attenuation_matrix(materials, spectrum.energies)
        self.weights = (photons * detector.response(spectrum.energies) * spectrum.shares).T
        self.air = self.weights.sum(axis=0)
        self.thin = binned_attenuation(materials, spectrum, detector)
        energies, bins = self.weights.shape
        slopes = self.weights[:, :, None] * self.attenuation.T[:, None, :]
        self._slopes = slopes.reshape(energies, bins * len(materials))

    def start(self, counts: Array) -> Array:
        logged = -np.log(np.maximum(counts, 0.5) / self.air)
        return np.asarray(logged @ np.linalg.pinv(self.thin).T)

    def expected(self, area: Array) -> Array:
        return np.asarray(np.maximum(self._passed(area) @ self.weights, _TINY))

    def derivatives(self, area: Array) -> tuple[Array, Array]:
        """Return expected counts `(N, S)` and −∂λ/∂a, `(N, S, M)`."""
        passed = self._passed(area)
        slopes = (passed @ self._slopes).reshape(len(area), len(self.air), area.shape[1])
        return np.maximum(passed @ self.weights, _TINY), slopes

    def _passed(self, area: Array) -> Array:
        return np.asarray(np.exp(np.clip(-area @ self.attenuation, -_BOUND, 50.0)))


def _solve(counts: Array, model: _Model, iterations: int) -> Array:
    area = model.start(counts)
    scale = 1 / np.linalg.norm(model.thin, axis=0)
    loss = _loss(counts, model.expected(area))
    for _ in range(iterations):
        expected, slopes = model.derivatives(area)
        slopes = slopes * scale
        gradient = np.einsum("nb,nbm->nm", 1 - counts / expected, -slopes)
        fisher = np.einsum("nbm,nbk,nb->nmk", slopes, slopes, 1 / expected)
        ridge = 1e-9 * np.trace(fisher, axis1=1, axis2=2)[:, None, None] + 1e-12
        step = -np.linalg.solve(fisher + ridge * np.eye(area.shape[1]), gradient[:, :, None])[:, :, 0] * scale
        area, new = _line_search(counts, model, area, step, loss)
        if np.max(loss - new) <= 1e-9 * (1 + np.max(np.abs(loss))):
            break
        loss = new
    return area


def _line_search(counts: Array, model: _Model, area: Array, step: Array, loss: Array) -> tuple[Array, Array]:
    """Take each ray's step, halved up to ten times until its likelihood does not fall, else not at all."""
    length = np.ones(len(area))
    for _ in range(10):
        trial = area + length[:, None] * step
        new = _loss(counts, model.expected(trial))
        worse = new > loss
        if not worse.any():
            break
        length[worse] /= 2
    worse = new > loss
    return np.where(worse[:, None], area, trial), np.where(worse, loss, new)


def _loss(counts: Array, expected: Array) -> Array:
    return np.asarray(np.sum(expected - counts * np.log(expected), axis=1))
