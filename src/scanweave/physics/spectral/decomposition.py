"""Basis-material decomposition and virtual monoenergetic images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.detectors import Detector
from scanweave.physics.spectral.materials import (
    PER_CM_TO_PER_MM,
    attenuation_matrix,
    linear_attenuation,
    mass_attenuation,
)
from scanweave.physics.spectral.spectra import Spectrum

Array = NDArray[np.floating]

MAX_CONDITION = 1e6
"""Condition number of the attenuation matrix above which materials cannot be told apart in the bins."""


def binned_attenuation(materials: Sequence[str], spectrum: Spectrum, detector: Detector) -> Array:
    """Return μ/ρ [cm²/g] averaged over each bin of the open beam, `(S, M)`: Σ S D_b μ_m / Σ S D_b.

    It is the slope of the line integral of a thin object; thick ones harden the beam and lie below.

    Raises:
        ScanweaveError: A bin sees no photon of the spectrum.
    """
    return averaged_attenuation(materials, spectrum.energies, detector.response(spectrum.energies) * spectrum.shares)


def averaged_attenuation(materials: Sequence[str], energies: Array, weights: Array) -> Array:
    """Return μ/ρ [cm²/g] averaged over energies [keV] `(E,)` with the weights of each bin `(S, E)`, as `(S, M)`.

    Raises:
        ScanweaveError: A bin sees no photon of the spectrum.
    """
    total = weights.sum(axis=1)
    if not (total > 0).all():
        raise ScanweaveError(
            f"bin {int(np.argmin(total))}", "sees no photon of the spectrum", "Lower its threshold, or leave it out"
        )
    return np.asarray(weights @ attenuation_matrix(materials, energies).T / total[:, None])


def decompose_images(
    images: Array, matrix: Array, *, nonnegative: bool = False, weights: ArrayLike | None = None
) -> Array:
    """Return the density of each material from the images of the bins, by least squares in each pixel.

    min Σ_b w_b (μ_b − Σ_m (μ/ρ)_bm ρ_m)², with ρ ≥ 0 on request. That constraint is met exactly, by the best of all
    subsets of materials whose solution is positive: for a few materials cheaper than an iteration.

    Args:
        images: Attenuation [1/mm] of each bin, `(S, …)`.
        matrix: Mass attenuation [cm²/g], `(S, M)`, such as `binned_attenuation` gives.
        nonnegative: Whether densities may not be negative.
        weights: Weight of each bin, such as one over its variance, `(S,)`; equal when left out.

    Returns:
        Densities [g/cm³], `(M, …)`, float64.

    Raises:
        ScanweaveError: Bins do not match, or they cannot tell the materials apart.
    """
    matrix = np.asarray(matrix, np.float64)
    root = np.sqrt(np.ones(len(matrix)) if weights is None else np.asarray(weights, np.float64))
    if images.shape[0] != len(matrix) or root.shape != (len(matrix),):
        raise ScanweaveError(
            "images",
            f"{images.shape[0]} bins, but attenuation of {len(matrix)} and weights of {root.shape}",
            "Use the bins of the scan",
        )
    system = root[:, None] * matrix
    _check_condition(system)
    pixels = root[:, None] * np.asarray(images, np.float64).reshape(len(matrix), -1) / PER_CM_TO_PER_MM
    densities = _nonnegative(system, pixels) if nonnegative else np.linalg.pinv(system) @ pixels
    return densities.reshape(matrix.shape[1], *images.shape[1:])


def monoenergetic_image(densities: Array, materials: Sequence[str], energy: float) -> Array:
    """Return the attenuation [1/mm] at one energy [keV] of material maps `(M, …)` [g/cm³] (Alvarez–Macovski 1976)."""
    coefficients = np.array([mass_attenuation(material, energy) for material in materials])
    return np.asarray(PER_CM_TO_PER_MM * np.tensordot(coefficients, densities, axes=(0, 0)))


def hounsfield(attenuation: Array, energy: float) -> Array:
    """Return CT numbers [HU] of attenuation [1/mm] at an energy [keV]: 1000 (μ − μ_water) / μ_water."""
    water = linear_attenuation("water", energy)
    return np.asarray(1000 * (attenuation - water) / water)


def _nonnegative(system: Array, pixels: Array) -> Array:
    """Solve every column of `pixels`, `(M, N)`, by non-negative least squares."""
    count = system.shape[1]
    best = np.zeros((count, pixels.shape[1]))
    error = np.sum(pixels**2, axis=0)
    for size in range(1, count + 1):
        for subset in combinations(range(count), size):
            part = system[:, subset]
            solution = np.linalg.pinv(part) @ pixels
            residual = np.sum((pixels - part @ solution) ** 2, axis=0)
            better = (solution >= 0).all(axis=0) & (residual < error)
            error[better] = residual[better]
            best[:, better] = 0
            best[np.ix_(subset, better)] = solution[:, better]
    return best


def _check_condition(system: Array) -> None:
    """Refuse materials that the bins cannot tell apart; the scale of a material does not count."""
    scaled = system / np.maximum(np.linalg.norm(system, axis=0), 1e-300)
    few = system.shape[0] < system.shape[1]
    if few or np.linalg.cond(scaled) > MAX_CONDITION:
        raise ScanweaveError(
            "materials",
            f"{system.shape[1]} cannot be told apart in {system.shape[0]} bins",
            "Decompose into fewer materials, or use more bins",
        )
