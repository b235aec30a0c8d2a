"""Artefacts of the scanner: receive field, gain and noise."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.physics.mr import rician
from scanweave.simulate.fields import Array

NOISE = MappingProxyType(
    {"t1": 0.025, "t1c": 0.025, "t2": 0.03, "flair": 0.035, "pd": 0.025, "t2r": 0.008, "mix": 0.025, "dce": 0.04}
)
"""Standard deviation of the noise of one channel, in units of the mean signal of the brain."""
LEVEL = 400.0
"""Mean of a scan over the brain before gain [scanner units]: noise stays above the rounding to whole numbers."""
_COMMON, _OWN = 0.95, 0.3
"""Parts of the receive field that all scans of a session share and that each has of its own (in log units)."""


def receive_field(common: Array, own: Array, spread: float) -> Array:
    """Return the factor of the receive coil at each voxel: the exponential of two smooth fields."""
    return np.asarray(np.exp(np.float32(spread) * (np.float32(_COMMON) * common + np.float32(_OWN) * own)), np.float32)


def digitise(rng: Generator, signal: Array, noise: float, units: float = 1.0) -> NDArray[np.int16]:
    """Add Rician noise and an arbitrary gain, and round to whole numbers as scanners do.

    Args:
        rng: The source of randomness.
        signal: Noiseless signal, any shape, any unit.
        noise: Standard deviation of one channel in units of the mean signal; 0 for none.
        units: Factor on the gain.
    """
    gain = LEVEL * units * float(np.exp(rng.normal(0, 0.25)))
    scaled = signal * np.float32(gain / max(float(signal.mean()), 1e-12))
    if noise > 0:
        scaled = rician(scaled, noise * gain, rng)
    return np.asarray(np.clip(np.rint(scaled), 0, np.iinfo(np.int16).max), np.int16)
