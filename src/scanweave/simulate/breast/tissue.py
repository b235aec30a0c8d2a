"""Tissues of the breast at 3 T: relaxation, fat, diffusion and uptake, and the differences between subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from scanweave.physics.tracer_kinetics import HEMATOCRIT
from scanweave.simulate.breast.anatomy import TISSUES
from scanweave.simulate.breast.protocol import ARRIVAL_S, Bolus
from scanweave.simulate.breast.traits import Traits
from scanweave.simulate.material import Material, Values

COLUMNS = ("pd", "fat", "t1_ms", "t2_ms", "adc_mm2_per_s", "ktrans_per_min", "ve", "vp")
PARAMETERS = MappingProxyType(
    {
        "skin": (0.75, 0.05, 1000.0, 35.0, 1.2e-3, 0.012, 0.25, 0.005),
        "fat": (0.95, 0.90, 1200.0, 50.0, 1.0e-3, 0.010, 0.30, 0.005),
        "gland": (0.82, 0.06, 1445.0, 58.0, 1.9e-3, 0.016, 0.35, 0.003),
        "muscle": (0.80, 0.02, 1412.0, 40.0, 1.5e-3, 0.020, 0.12, 0.010),
        "lung": (0.12, 0.00, 1300.0, 20.0, 1.0e-3, 0.050, 0.30, 0.050),
        "vessel": (0.85, 0.00, 1932.0, 80.0, 3.0e-3, 0.000, 1.00, 1 - HEMATOCRIT),
    }
)
"""Mean of each tissue: all but the share of fat in its protons is that of its water.

T1 of gland, and T1 of fat: Rakow-Penner et al., J Magn Reson Imaging 2006 (3 T); muscle and blood: Stanisz et al., Magn
Reson Med 2005, but T2 of blood, which flows, is shortened by choice. The rest is our choice within what is published:
gland diffuses freely and takes up little, and slowly.
"""
FAT = Material(np.array([1.0]), np.array([367.0]), np.array([130.0]))
"""Fat itself. T2 is that of a train of echoes, longer than the 53 ms of a single one, since a train hides the coupling
of its protons (Henkelman et al., Magn Reson Med 1992)."""


@dataclass(frozen=True)
class BreastTissues:
    """Tissues of one subject: `TISSUES`, then its lesions; arrays are `(K,)`.

    Attributes:
        water: The water of each.
        fat: Share of fat in the protons.
        adc: Diffusion of water [mm²/s].
        ktrans: Transfer constant [1/min].
        ve: Share of extravascular extracellular space.
        vp: Share of plasma.
    """

    water: Material
    fat: Values
    adc: Values
    ktrans: Values
    ve: Values
    vp: Values

    def with_lesions(self, lesions: Sequence[Traits]) -> BreastTissues:
        """Return the same subject with lesions."""

        def joined(values: Values, name: str) -> Values:
            return np.concatenate([values, [getattr(lesion, name) for lesion in lesions]])

        water = Material(joined(self.water.pd, "pd"), joined(self.water.t1, "t1"), joined(self.water.t2, "t2"))
        others = {name: joined(getattr(self, name), name) for name in ("fat", "adc", "ktrans", "ve", "vp")}
        return BreastTissues(water, **others)

    def facts(self) -> dict[str, dict[str, float]]:
        """Return what was drawn for each of `TISSUES`, for `truth.json`."""
        columns = (self.water.pd, self.fat, self.water.t1, self.water.t2, self.adc, self.ktrans, self.ve, self.vp)
        return {
            tissue: {name: float(f"{values[row]:.4g}") for name, values in zip(COLUMNS, columns, strict=True)}
            for row, tissue in enumerate(TISSUES)
        }


def draw_tissues(rng: Generator) -> BreastTissues:
    """Draw one healthy subject.

    T1, T2 and ADC vary by about 4 %, proton density by 1.5 %, uptake by 25 %, that of gland by another 50 %.
    """
    pd, fat, t1, t2, adc, ktrans, ve, vp = np.array(list(PARAMETERS.values())).T
    spread = [np.exp(rng.normal(0, share, pd.size)) for share in (0.015, 0.04, 0.04, 0.04, 0.25)]
    ktrans = ktrans * spread[4]
    ktrans[TISSUES.index("gland")] *= np.exp(rng.normal(0, 0.5))
    water = Material(pd * spread[0], t1 * spread[1], t2 * spread[2])
    return BreastTissues(water, fat, adc * spread[3], ktrans, ve, vp)


def draw_bolus(rng: Generator, injection: float) -> Bolus:
    """Draw the agent of one subject: its dose varies by 12 %, the time of its way too. `injection` is in s."""
    return Bolus(float(np.exp(rng.normal(0, 0.12))), injection + float(rng.uniform(*ARRIVAL_S)))
