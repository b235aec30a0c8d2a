"""A dynamic contrast-enhanced series, whose order of enhancement is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.mr import spoiled_gradient_echo
from scanweave.simulate.fields import Array
from scanweave.simulate.lesions import TISSUES
from scanweave.simulate.material import Material, Values
from scanweave.simulate.tissue import BLOOD

TR, TE, FLIP = 5.0, 2.0, 15.0
"""Repetition time [ms], echo time [ms] and flip angle [°] of the series."""
ARRIVAL = 20.0
"""Time at which the contrast agent arrives [s]."""
WASH_IN = np.array([60.0, 12.0, 12.0, 240.0, 30.0, 120.0, 6.0])
"""Time constant of the uptake by each of `TISSUES` and blood [s]: blood first, then brain, rim, and the core last."""
WASH_OUT = np.array([2000.0, 300.0, 300.0, 2000.0, 600.0, 2000.0, 300.0])
"""Time constant of the loss [s]."""


def concentration(dose: Values, times: Values) -> NDArray[np.float64]:
    """Return the contrast agent in each tissue over time [mmol/L], `(T, K)`.

    C(t) = C₀ (1 − exp(−τ/τ_in)) exp(−τ/τ_out), with τ = t − arrival, and 0 before.

    Args:
        dose: C₀ of each tissue [mmol/L], `(K,)`.
        times: Times of the frames [s], `(T,)`.
    """
    elapsed = np.clip(times - ARRIVAL, 0, None)[:, None]
    return np.asarray(dose * -np.expm1(-elapsed / WASH_IN) * np.exp(-elapsed / WASH_OUT))


def acquire_series(fractions: Array, material: Material, dose: Values, blood: Array, times: Values) -> Array:
    """Return the noiseless series at the voxels of the brain, `(N, T)`.

    Args:
        fractions: Share of each of `TISSUES`, `(6, N)`.
        material: The subject's tissues and blood, `(7,)` each.
        dose: Concentration of contrast agent in them at full uptake [mmol/L].
        blood: Share of a voxel that is enhancing blood, `(N,)`.
        times: Times of the frames [s], `(T,)`.
    """
    now = material.with_contrast(concentration(dose, times))
    before = spoiled_gradient_echo(material.pd, material.t1, material.t2, tr=TR, te=TE, flip=FLIP)
    curves = spoiled_gradient_echo(now.pd, now.t1, now.t2, tr=TR, te=TE, flip=FLIP).astype(np.float32)
    series = fractions.T @ curves[:, : len(TISSUES)].T
    return np.asarray(series + blood[:, None] * (curves[:, BLOOD] - np.float32(before[BLOOD])), np.float32)
