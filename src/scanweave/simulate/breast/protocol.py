"""The sequences of the simulated breast as they are acquired, and the contrast agent that two of them follow."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanweave.physics.tracer_kinetics import extended_tofts, parker_plasma

Array = NDArray[np.float64]

_ANATOMICAL: dict[str, Any] = {"equation": "spoiled_gradient_echo", "tr": 8.0, "te": 2.4, "flip": 20.0}
_DYNAMIC: dict[str, Any] = {"equation": "spoiled_gradient_echo", "tr": 4.5, "te": 2.0, "flip": 10.0}
PROTOCOL: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "t1": _ANATOMICAL,
        "fst1": _ANATOMICAL | {"suppressed": True},
        "t2": {"equation": "spin_echo", "tr": 4500.0, "te": 90.0},
        "dce": _DYNAMIC,
        "fsdce": _DYNAMIC | {"suppressed": True},
        "dwi": {"equation": "spin_echo", "tr": 7000.0, "te": 65.0, "suppressed": True},
    }
)
"""Times [ms] and flip angles [°] of the sequences that are acquired, and which suppress fat."""
NOISE = MappingProxyType({"t1": 0.03, "fst1": 0.05, "t2": 0.04, "dce": 0.02, "fsdce": 0.04, "dwi": 0.05})
"""Standard deviation of the noise of one channel, in units of the mean signal of the body over all frames."""
ARRIVAL_S = (10.0, 16.0)
"""Shortest and longest way of the agent from the vein to the breast [s]."""


@dataclass(frozen=True)
class Bolus:
    """The contrast agent of one subject: Parker's population curve in plasma, and tissues by the extended Tofts model.

    Attributes:
        dose: Agent in plasma, as a factor on that of an average patient.
        arrival: When the agent arrives in the breast [s].
    """

    dose: float
    arrival: float

    def in_tissue(self, times: ArrayLike, ktrans: ArrayLike, ve: ArrayLike, vp: ArrayLike) -> Array:
        """Return the agent at the times of frames [mmol/L], `(T, K)`.

        Args:
            times: Times of the frames [s], `(T,)`.
            ktrans: Transfer constant of each tissue [1/min], `(K,)`.
            ve: Share of its extravascular extracellular space.
            vp: Share of its plasma.
        """
        elapsed = np.asarray(times, np.float64) - self.arrival
        return np.asarray(self.dose * extended_tofts(elapsed, parker_plasma, ktrans=ktrans, ve=ve, vp=vp).T)
