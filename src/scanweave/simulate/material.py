"""Materials of tissues, and the signal of a material in a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.physics.mr import (
    R1_GADOBUTROL,
    R2_GADOBUTROL,
    inversion_recovery,
    relaxed_by_contrast,
    spin_echo,
    spoiled_gradient_echo,
)

Values = NDArray[np.floating]

_EQUATIONS: dict[str, Callable[..., Values]] = {
    "spoiled_gradient_echo": spoiled_gradient_echo,
    "spin_echo": spin_echo,
    "inversion_recovery": inversion_recovery,
}
_STEP = 0.05
"""Relative change of T1 or T2 by which the sensitivity of a signal is measured."""


@dataclass(frozen=True)
class Material:
    """Parameters of some tissues, each `(K,)`: proton density relative to water, T1 and T2 [ms]."""

    pd: Values
    t1: Values
    t2: Values

    def with_contrast(self, concentration: Values) -> Material:
        """Return the tissues with a contrast agent at this concentration [mmol/L] in them."""
        t1 = relaxed_by_contrast(self.t1, concentration, relaxivity=R1_GADOBUTROL)
        return Material(self.pd, t1, relaxed_by_contrast(self.t2, concentration, relaxivity=R2_GADOBUTROL))


def signal_of(settings: dict[str, Any], material: Material) -> NDArray[np.float64]:
    """Return the signal of each tissue of `material`, `(K,)`.

    Args:
        settings: The sequence: its `equation`, and of it `tr`, `te`, `ti` [ms] and `flip` [°].
        material: The tissues.
    """
    times = {name: value for name, value in settings.items() if name in ("tr", "te", "ti", "flip")}
    return np.asarray(_EQUATIONS[settings["equation"]](material.pd, material.t1, material.t2, **times))


def sensitivities(settings: dict[str, Any], material: Material) -> tuple[Values, Values, Values]:
    """Return the signal of each tissue, as `signal_of`, and its derivatives by ln T1 and ln T2, each `(K,)`."""
    longer_t1 = Material(material.pd, material.t1 * (1 + _STEP), material.t2)
    longer_t2 = Material(material.pd, material.t1, material.t2 * (1 + _STEP))
    mean = signal_of(settings, material)
    slopes = [(signal_of(settings, longer) - mean) / np.log1p(_STEP) for longer in (longer_t1, longer_t2)]
    return mean, slopes[0], slopes[1]
