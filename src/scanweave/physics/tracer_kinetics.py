"""Contrast agent in blood, plasma and tissue over time.

Times are in seconds from the arrival of the agent, concentrations in millimole per litre, transfer constants per
minute, as the literature gives them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]

HEMATOCRIT = 0.42
"""Share of red cells in blood, which the agent does not enter."""
STEP_S = 0.1
"""Step at which plasma is sampled for the convolution [s]: a thirtieth of the narrowest part of Parker's curve."""
_SECONDS = 60.0
"""Seconds in a minute."""
_AREAS, _CENTRES, _WIDTHS = (0.809, 0.330), (0.17046, 0.365), (0.0563, 0.132)
"""Parker's two passes of the bolus: areas [mmol/L min], times and widths [min]."""
_LEVEL, _DECAY, _RISE, _RISE_AT = 1.050, 0.1685, 38.078, 0.483
"""Parker's slow part: level [mmol/L], decay [1/min], steepness [1/min] and time [min] of its rise."""
_WEINMANN = ((3.99, 0.144), (4.78, 0.0111))
"""Weinmann's two exponentials: amplitude [kg/L] and rate [1/min]."""


def parker_blood(times: ArrayLike) -> Array:
    """Return the agent in the blood of an average patient after 0.1 mmol/kg [mmol/L]; 0 before arrival.

    The population-averaged arterial input function of Parker et al., Magn Reson Med 2006, 56:993: two Gaussians and an
    exponential behind a sigmoid.

    Args:
        times: Since arrival [s], any shape.
    """
    minutes = np.asarray(times, np.float64) / _SECONDS
    after = np.clip(minutes, 0, None)
    blood = _LEVEL * np.exp(-_DECAY * after) / (1 + np.exp(-_RISE * (after - _RISE_AT)))
    for area, centre, width in zip(_AREAS, _CENTRES, _WIDTHS, strict=True):
        blood += area / (width * np.sqrt(2 * np.pi)) * np.exp(-(((after - centre) / width) ** 2) / 2)
    return np.asarray(np.where(minutes < 0, 0.0, blood))


def parker_plasma(times: ArrayLike) -> Array:
    """Return Parker's agent in plasma [mmol/L]: what is in blood, over the share of plasma in it."""
    return np.asarray(parker_blood(times) / (1 - HEMATOCRIT))


def weinmann_plasma(times: ArrayLike, dose: float = 0.1) -> Array:
    """Return the agent in plasma as two exponentials, mixed at once [mmol/L]; 0 before arrival.

    C = D (a₁ exp(−m₁ t) + a₂ exp(−m₂ t)) (Weinmann et al., Physiol Chem Phys Med NMR 1984; Tofts and Kermode, Magn
    Reson Med 1991).

    Args:
        times: Since arrival [s], any shape.
        dose: Injected dose D [mmol/kg].
    """
    minutes = np.asarray(times, np.float64) / _SECONDS
    after = np.clip(minutes, 0, None)
    plasma = dose * sum(amplitude * np.exp(-rate * after) for amplitude, rate in _WEINMANN)
    return np.asarray(np.where(minutes < 0, 0.0, plasma))


def extended_tofts(
    times: ArrayLike,
    plasma: Callable[[Array], Array],
    *,
    ktrans: ArrayLike,
    ve: ArrayLike,
    vp: ArrayLike,
    step: float = STEP_S,
) -> Array:
    """Return the agent in tissues by the extended Tofts model [mmol/L], `(…, T)`.

    C(t) = v_p C_p(t) + K ∫₀ᵗ C_p(u) exp(−(K/v_e)(t − u)) du (Tofts et al., J Magn Reson Imaging 1999, 10:223). The
    integral is exact for a plasma curve that is straight between its samples (Flouri et al., Magn Reson Med 2016), so
    that its error falls with the square of the step.

    Args:
        times: Since arrival [s], `(T,)`; before it there is none.
        plasma: C_p of such times [mmol/L].
        ktrans: Transfer constant K [1/min], of each tissue.
        ve: Share of the extravascular extracellular space, above 0; broadcasts against `ktrans`.
        vp: Share of plasma; likewise.
        step: Step of the samples [s].
    """
    times = np.asarray(times, np.float64)
    ktrans, ve, vp = (np.asarray(value, np.float64) for value in np.broadcast_arrays(ktrans, ve, vp))
    last = max(float(times.max()), step)
    samples = np.linspace(0, last, int(np.ceil(last / step)) + 1)
    fed = plasma(samples)
    rates = (ktrans / ve / _SECONDS).ravel()
    held = np.stack([_decayed_sum(fed, rate, samples[1]) for rate in rates]).reshape(*ktrans.shape, samples.size)
    found = vp[..., None] * fed + ktrans[..., None] / _SECONDS * held
    at = np.clip(times, 0, None) / samples[1]
    low = np.minimum(at.astype(np.int64), samples.size - 2)
    share = at - low
    tissue = found[..., low] * (1 - share) + found[..., low + 1] * share
    return np.asarray(np.where(times < 0, 0.0, tissue))


def _decayed_sum(values: Array, rate: float, step: float) -> Array:
    """Return ∫₀ᵗ f(u) exp(−rate (t − u)) du at every sample of f, which is straight between them; `(N,)`."""
    turn = rate * step
    kept = np.exp(-turn)
    if turn < 1e-6:
        old, new = step / 2, step / 2
    else:
        old, new = step * (1 - kept - turn * kept) / turn**2, step * (turn - 1 + kept) / turn**2
    held = lfilter([new, old], [1.0, -kept], values)
    return np.asarray(held - new * values[0] * kept ** np.arange(values.size))
