"""Lesions as what they are: size, border, water, diffusion, and an enhancement curve of a planted type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import PLATEAU, CurveType, Phases, wash_in, wash_out
from scanweave.simulate.breast.protocol import ARRIVAL_S, PROTOCOL, Bolus
from scanweave.simulate.breast.settings import MOST_LESIONS, BreastSettings
from scanweave.simulate.material import Material, signal_of

Border = Literal["smooth", "irregular", "spiculated"]
BORDERS: tuple[Border, ...] = ("smooth", "irregular", "spiculated")
SERIES = {"dce": "dce_times", "fsdce": "fsdce_times"}
"""The series that show uptake, and the setting that says when."""
MARGIN = 0.05
"""How far a planted change lies beyond the bounds of its type: fat at a lesion's edge must not move it across."""
LEAST_WASH_IN = 0.3
"""Least early enhancement of a lesion, relative: below it one would not see it."""
PROTONS, T1_MS = (0.84, 0.90), (1300.0, 1700.0)
"""Ranges of proton density relative to water, and of T1 [ms]."""
_TIMES_ADVICE = "Let both series go on for about five minutes after the injection, and end together"
_CANDIDATES = 200
"""Kinetics that are tried for each lesion."""


class Kinetics(NamedTuple):
    """Ranges from which kinetics are drawn: evenly, the rate evenly in its logarithm."""

    rate: tuple[float, float]
    """Rate constant k_ep = K / v_e [1/min]: what decides the type."""
    ve: tuple[float, float]
    vp: tuple[float, float]


KINETICS = MappingProxyType(
    {
        CurveType.PERSISTENT: Kinetics((0.04, 0.16), (0.25, 0.60), (0.0, 0.004)),
        CurveType.PLATEAU: Kinetics((0.20, 0.75), (0.20, 0.50), (0.0, 0.04)),
        CurveType.WASHOUT: Kinetics((0.70, 2.50), (0.20, 0.50), (0.0, 0.08)),
    }
)
"""Our choice, within what the extended Tofts model is reported to give in breast lesions."""


@dataclass(frozen=True)
class Traits:
    """One lesion, wherever it lies.

    Attributes:
        diameter: Diameter of the sphere that its border is drawn around [mm].
        border: Kind of its border.
        curve: Type of its enhancement curve.
        ktrans: Transfer constant [1/min].
        ve: Share of extravascular extracellular space.
        vp: Share of plasma.
        adc: Diffusion [mm²/s].
        pd: Proton density relative to water.
        t1: T1 [ms].
        t2: T2 [ms].
        fat: Share of fat in its protons.
    """

    diameter: float
    border: Border
    curve: CurveType
    ktrans: float
    ve: float
    vp: float
    adc: float
    pd: float
    t1: float
    t2: float
    fat: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return it for `truth.json`, with units in the names."""
        values = {name: value for name, value in asdict(self).items() if isinstance(value, float)}
        plain = {_UNITS.get(name, name): float(f"{value:.4g}") for name, value in values.items()}
        kinetic = {"kep_per_min": float(f"{self.ktrans / self.ve:.4g}")}
        return {"border": self.border, "curve_type": int(self.curve)} | plain | kinetic


_UNITS = {
    "diameter": "diameter_mm",
    "ktrans": "ktrans_per_min",
    "adc": "adc_mm2_per_s",
    "t1": "t1_ms",
    "t2": "t2_ms",
}


def draw_traits(rng: Generator, settings: BreastSettings, bolus: Bolus) -> list[Traits]:
    """Draw the lesions of a subject, largest first; size, border, curve, ADC and T2 are independent of each other.

    Args:
        rng: The source of randomness.
        settings: How many, how large, and the times at which curves are seen.
        bolus: The agent that they take up.

    Raises:
        ScanweaveError: No kinetics give a curve of the type that was drawn at these times.
    """
    count = int(rng.random() < settings.lesion_share)
    while 0 < count < MOST_LESIONS and rng.random() < settings.another_share:
        count += 1
    drawn = [_draw(rng, settings, bolus) for _ in range(count)]
    return sorted(drawn, key=lambda lesion: -lesion.diameter)


def _draw(rng: Generator, settings: BreastSettings, bolus: Bolus) -> Traits:
    diameter = log_uniform(rng, settings.diameters)
    border = BORDERS[rng.integers(len(BORDERS))]
    curve = CurveType(int(rng.integers(len(CurveType))) + 1)
    adc, t2 = float(rng.uniform(0.75e-3, 1.75e-3)), float(rng.uniform(65, 120))
    water = Material(np.array([rng.uniform(*PROTONS)]), np.array([rng.uniform(*T1_MS)]), np.array([t2]))
    ktrans, ve, vp = draw_kinetics(rng, curve, water, bolus, settings)
    return Traits(diameter, border, curve, ktrans, ve, vp, adc, float(water.pd[0]), float(water.t1[0]), t2)


def draw_kinetics(
    rng: Generator, curve: CurveType, water: Material, bolus: Bolus, settings: BreastSettings
) -> tuple[float, float, float]:
    """Draw K [1/min], v_e and v_p until every noiseless series shows a curve of this type, well within its bounds.

    Raises:
        ScanweaveError: None of `_CANDIDATES` does.
    """
    ranges = KINETICS[curve]
    rate = np.array([log_uniform(rng, ranges.rate) for _ in range(_CANDIDATES)])
    ve, vp = rng.uniform(*ranges.ve, _CANDIDATES), rng.uniform(*ranges.vp, _CANDIDATES)
    fits = np.ones(_CANDIDATES, bool)
    for name, times in SERIES.items():
        signal = signal_of(
            PROTOCOL[name], water.with_contrast(bolus.in_tissue(getattr(settings, times), rate * ve, ve, vp))
        ).T
        fits &= _shows(curve, signal, settings.phases(times))
    if not fits.any():
        reason = f"no kinetics give a curve of type {curve.name.lower()} in both dce_times and fsdce_times"
        raise ScanweaveError("dce_times", reason, _TIMES_ADVICE)
    chosen = int(fits.argmax())
    return float(rate[chosen] * ve[chosen]), float(ve[chosen]), float(vp[chosen])


def check_times(settings: BreastSettings) -> None:
    """Refuse times at which curves of some type cannot be planted, before anything is written.

    Raises:
        ScanweaveError: No kinetics give such a curve, be the agent early or late.
    """
    water = Material(np.array([0.87]), np.array([1500.0]), np.array([90.0]))
    for delay in ARRIVAL_S:
        for curve in CurveType:
            draw_kinetics(np.random.default_rng(0), curve, water, Bolus(1.0, settings.injection + delay), settings)


def noiseless_curve(lesion: Traits, bolus: Bolus, settings: BreastSettings, name: str) -> NDArray[np.float64]:
    """Return the signal of a lesion alone in one of `SERIES` without noise, `(T,)`."""
    water = Material(np.array([lesion.pd]), np.array([lesion.t1]), np.array([lesion.t2]))
    agent = bolus.in_tissue(getattr(settings, SERIES[name]), [lesion.ktrans], [lesion.ve], [lesion.vp])
    return signal_of(PROTOCOL[name], water.with_contrast(agent))[:, 0]


def noiseless_measures(lesion: Traits, bolus: Bolus, settings: BreastSettings) -> Mapping[str, dict[str, float]]:
    """Return wash-in and wash-out of a lesion alone in each series, without noise."""
    measures = {}
    for name, times in SERIES.items():
        signal, phases = noiseless_curve(lesion, bolus, settings, name), settings.phases(times)
        measures[name] = {
            "wash_in": round(float(wash_in(signal, phases)), 4),
            "wash_out": round(float(wash_out(signal, phases)), 4),
        }
    return measures


def log_uniform(rng: Generator, bounds: tuple[float, float]) -> float:
    """Draw a number evenly in its logarithm."""
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def _shows(curve: CurveType, signal: NDArray[np.float64], phases: Phases) -> NDArray[np.bool_]:
    """Tell which of some curves `(N, T)` are of a type, `MARGIN` within its bounds, and enhance."""
    change = wash_out(signal, phases)
    within = {
        CurveType.PERSISTENT: change >= PLATEAU + MARGIN,
        CurveType.PLATEAU: np.abs(change) <= PLATEAU - MARGIN,
        CurveType.WASHOUT: change <= -PLATEAU - MARGIN,
    }
    return within[curve] & (wash_in(signal, phases) >= LEAST_WASH_IN)
