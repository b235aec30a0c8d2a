"""The simulated MR sequences: each voxel's noiseless signal from the tissues in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scanweave.simulate.fields import Array
from scanweave.simulate.lesions import TISSUES
from scanweave.simulate.material import Material, Values, sensitivities
from scanweave.simulate.tissue import BLOOD

PROTOCOL: dict[str, dict[str, Any]] = {
    "t1": {"equation": "spoiled_gradient_echo", "tr": 20.0, "te": 4.0, "flip": 30.0},
    "t1c": {"equation": "spoiled_gradient_echo", "tr": 20.0, "te": 4.0, "flip": 30.0, "contrast": True},
    "t2": {"equation": "spin_echo", "tr": 5000.0, "te": 95.0},
    "flair": {"equation": "inversion_recovery", "tr": 9000.0, "te": 100.0, "ti": 2480.0},
    "pd": {"equation": "spin_echo", "tr": 3000.0, "te": 15.0},
}
"""Times [ms] and flip angles [°] of the sequences that are acquired; `t2r` and `mix` are computed from these."""
_SATURATION = 0.6
"""Scale of the saturating function that makes `t2r`, in units of the mean of `t2`."""


@dataclass(frozen=True)
class Microstructure:
    """Deviations of a voxel's tissue from the tissue's mean, relative, of each parameter, `(N,)`.

    The deviations are independent of each other, so that T1- and T2-weighted scans each hold something that the
    other lacks. They do not apply to fluid.
    """

    pd: Array
    t1: Array
    t2: Array


def acquire(
    fractions: Array,
    material: Material,
    dose: Values,
    micro: Microstructure,
    blood: Array,
    protocol: Mapping[str, dict[str, Any]] = PROTOCOL,
) -> dict[str, Array]:
    """Return the noiseless signal `(N,)` of each sequence of a protocol, without receive field.

    The signal of a voxel is the sum over its tissues (partial volume), to first order in the microstructure:
    S = (1 + δPD) Σ f_k [S_k + δT1 ∂S_k/∂ln T1 + δT2 ∂S_k/∂ln T2].

    Args:
        fractions: Share of each of `TISSUES`, `(6, N)`.
        material: The subject's tissues and blood, `(7,)` each.
        dose: Concentration of contrast agent in them [mmol/L].
        micro: The deviations in each voxel.
        blood: Share of a voxel that is enhancing blood, `(N,)`; it shows only after contrast agent.
        protocol: The sequences; those of `PROTOCOL` unless given.
    """
    enhanced = material.with_contrast(dose)
    images = {}
    for name, settings in protocol.items():
        current = enhanced if settings.get("contrast") else material
        mean, by_t1, by_t2 = _sensitivities(settings, current)
        weights = np.stack([mean, by_t1, by_t2])[:, : len(TISSUES)].astype(np.float32)
        signal, along_t1, along_t2 = weights @ fractions
        signal += micro.t1 * along_t1 + micro.t2 * along_t2
        if settings.get("contrast"):
            signal += blood * (np.float32(mean[BLOOD]) - signal)
        images[name] = np.clip(signal * (1 + micro.pd), 0, None)
    return images


def derive(images: dict[str, Array]) -> dict[str, Array]:
    """Return the two sequences that are functions of others, from noiseless scans with their receive fields.

    - `t2r` = 1 − exp(−t2 / 0.6), the redundant one: monotone, and saturating in fluid, hence poorer than `t2`.
    - `mix` = t1 / (t1 + t2), the one that needs two: a standardised T1w/T2w ratio (after Glasser and Van Essen,
      J Neurosci 2011; Misaki et al., Magn Reson Med 2015).

    Both take `t1` and `t2` in units of their means over the brain.
    """
    t1, t2 = (images[name] / images[name].mean() for name in ("t1", "t2"))
    return {"t2r": -np.expm1(-t2 / np.float32(_SATURATION)), "mix": t1 / (t1 + t2 + np.float32(1e-6))}


def _sensitivities(settings: dict[str, Any], material: Material) -> tuple[Values, Values, Values]:
    """Return the signal of each tissue and its derivatives by ln T1 and ln T2, which are 0 in fluid."""
    mean, *slopes = sensitivities(settings, material)
    for slope in slopes:
        slope[TISSUES.index("csf")] = 0
    return mean, slopes[0], slopes[1]
