"""Maps that are computed from acquired series, noise included, as it is done at workstations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.measures.enhancement_curves import Phases, wash_in, wash_out
from scanweave.simulate.subject import Scan, fill

MAPS = {"washin": wash_in, "washout": wash_out}
"""Sequences that are computed from the acquired `dce`."""
FAINT, CLIPPED = 0.1, (-1.0, 5.0)
"""Where these maps are 0: the signal before the agent is below this share of its 99th percentile; and their bounds."""
MOST_ADC = 4.0
"""Upper bound of `adc` [10⁻³ mm²/s]: free water at 37 °C has 3.0."""


def enhancement_maps(series: Scan, mask: NDArray[np.bool_], phases: Phases) -> dict[str, Scan]:
    """Return wash-in and wash-out of an acquired series `(X, Y, Z, T)`."""
    curves = series[mask]
    seen = _seen(curves[:, : phases.before].mean(axis=1))
    return {
        name: fill(mask, np.where(seen, np.clip(measure(curves, phases), *CLIPPED), 0).astype(np.float32))
        for name, measure in MAPS.items()
    }


def diffusion_map(series: Scan, mask: NDArray[np.bool_], b_values: Sequence[float]) -> Scan:
    """Return ADC [10⁻³ mm²/s] of an acquired series over diffusion weighting: the slope of −ln S, by least squares.

    Args:
        series: `(X, Y, Z, B)`.
        mask: The body, `(X, Y, Z)`.
        b_values: Diffusion weighting [s/mm²], `(B,)`, two different ones at least.
    """
    signals = series[mask].astype(np.float64)
    off = np.asarray(b_values, np.float64) - np.mean(b_values)
    slope = -np.log(np.maximum(signals, 1)) @ (off / (off**2).sum())
    seen = _seen(signals[:, int(np.argmin(b_values))])
    return fill(mask, np.where(seen, np.clip(1000 * slope, 0, MOST_ADC), 0).astype(np.float32))


def _seen(signal: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray(signal >= max(FAINT * float(np.percentile(signal, 99)), 1.0))
