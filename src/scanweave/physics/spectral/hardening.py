"""Beam hardening of water: line integrals as if every photon of a bin had the mean attenuation of the open beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.spectral.decomposition import averaged_attenuation
from scanweave.physics.spectral.materials import PER_CM_TO_PER_MM, attenuation_matrix, density

Array = NDArray[np.floating]

_LENGTHS = np.concatenate([[0.0], np.geomspace(0.1, 5000.0, 400)])
"""Thicknesses of water [mm] between which the correction is interpolated."""


def correct_for_water(integrals: Array, energies: Array, weights: Array) -> Array:
    """Return line integrals that are exact for water of any thickness: −ln(N/N_air) ↦ μ̄_b L.

    A bin b sees p_b(L) = −ln Σ_E w_b(E) e^{−μ(E) L} / Σ_E w_b(E) behind L of water, which bends below μ̄_b L. The
    curve is inverted by interpolation; other tissues are corrected as far as they resemble water (Herman, Phys Med
    Biol 24(1), 1979).

    Args:
        integrals: Line integrals `(S, …)`; negative ones, which are noise, are kept.
        energies: Energies of the spectrum [keV], `(E,)`.
        weights: What each energy adds to the open reading of each bin, `(S, E)`.

    Raises:
        ScanweaveError: A bin sees no photon of the spectrum.
    """
    mean = averaged_attenuation(("water",), energies, weights)[:, 0] * density("water") * PER_CM_TO_PER_MM
    water = attenuation_matrix(("water",), energies)[0] * density("water") * PER_CM_TO_PER_MM
    passed = (weights @ np.exp(-np.outer(water, _LENGTHS))) / weights.sum(axis=1, keepdims=True)
    curves = -np.log(np.maximum(passed, 1e-300))
    out = [
        np.where(values < 0, values, np.interp(values, curve, slope * _LENGTHS))
        for values, curve, slope in zip(integrals, curves, mean, strict=True)
    ]
    return np.stack(out).astype(integrals.dtype)
