"""Outcomes of patients, planted in four factors of which each shows in one modality alone.

Factors are independent and standard normal. A lesion shows three of them: the rate of its uptake in the series after
contrast agent and their maps, its diffusion in `dwi`, its T2 in `t2`; a blood marker in the table is the fourth. The
log-odds of an outcome are linear in the factors, malignancy has one product of two besides. `fst1` and `t1` show
nothing of any outcome, nor do height, site, size and border. For that to hold to the bit, what T2 changes in other
sequences than `t2` (a per cent in gradient echoes, more in `dwi`) is left out: there the lesion has `MIDDLE_T2`.

A factor counts as known where its modality is present (`bayes.py`): an image shows it but for noise, blur and tissue
mixed in at the border, and the rest is a matter of reading. So what is computed from it is a ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.measures.enhancement_curves import CurveType, curve_type
from scanweave.simulate.breast.protocol import Bolus
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.simulate.breast.sites import SITES, Site
from scanweave.simulate.breast.traits import BORDERS, PROTONS, T1_MS, Traits, log_uniform, noiseless_curve

Array = NDArray[np.float64]

FACTORS = ("kinetics", "diffusion", "relaxation", "marker")
MODALITIES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "dce": ("dce", "fsdce", "washin", "washout"),
        "dwi": ("dwi", "adc"),
        "t2": ("t2",),
        "table": (),
        "sham": ("t1", "fst1"),
    }
)
"""Scans of each modality; any of them shows its factor. That of `FACTORS` has the same number; `sham` has none."""
MIDDLE_T2 = 85.0
"""T2 of an average lesion [ms]."""
_MIDDLE_RATE, _MIDDLE_ADC, _MIDDLE_MARKER = 0.4, 1.2e-3, 20.0
"""k_ep [1/min], ADC [mm²/s] and marker [U/mL] of an average patient."""
_RATE_SPREAD, _ADC_SPREAD, _T2_SPREAD, _MARKER_SPREAD = 0.8, -0.3, 0.35, 0.5
"""What a factor of 1 adds to their logarithms, and to that of T2: diffusion is restricted where its factor is high."""
_VE, _VP = (0.30, 0.45), (0.0, 0.03)
_HEIGHT_CM = (164.0, 7.0)
"""Mean and spread of the height, a variable that tells nothing."""
VARIABLES = ("marker_u_per_ml", "height_cm")


@dataclass(frozen=True)
class Outcome:
    """One outcome of C classes and its log-odds against the first class.

    Attributes:
        name: Name of the label.
        classes: Values of the label.
        intercepts: Log-odds of classes 1 … C − 1 at factors 0, `(C − 1,)`.
        weights: What each of `FACTORS` adds to them, `(C − 1, 4)`.
        products: What the product of kinetics and diffusion adds, `(C − 1,)`.
    """

    name: str
    classes: tuple[int | str, ...]
    intercepts: tuple[float, ...]
    weights: tuple[tuple[float, float, float, float], ...]
    products: tuple[float, ...]

    @property
    def asked(self) -> tuple[int | str, ...]:
        """The classes that a probability is told of: all, or the second of two."""
        return self.classes if len(self.classes) > 2 else self.classes[1:]

    def log_odds(self, factors: Array) -> Array:
        """Return the log-odds of patients whose factors `(N, 4)` are known, `(N, C − 1)`."""
        both = factors[:, :1] * factors[:, 1:2]
        return np.asarray(self.intercepts + factors @ np.array(self.weights).T + both * self.products)

    def facts(self) -> dict[str, Any]:
        """Return the coefficients, for `outcomes.json`."""
        rows = zip(self.classes[1:], self.intercepts, self.weights, self.products, strict=True)
        return {
            "classes": list(self.classes),
            "log_odds_against": self.classes[0],
            "log_odds": {
                str(one): {"intercept": start}
                | dict(zip(FACTORS, weights, strict=True))
                | {"kinetics x diffusion": product}
                for one, start, weights, product in rows
            },
        }


OUTCOMES = (
    Outcome("malignancy", (0, 1), (-0.3,), ((1.6, 1.2, 0.8, 0.8),), (0.8,)),
    Outcome(
        "subtype",
        ("luminal", "her2", "triple-negative"),
        (-0.2, -0.4),
        ((1.4, 0.0, 0.3, 0.9), (0.2, 1.3, 1.0, 0.0)),
        (0.0, 0.0),
    ),
    Outcome("response", (0, 1), (-0.8,), ((0.9, -0.7, 0.5, -1.1),), (0.0,)),
)
"""The outcomes; coefficients are our choice. A benign lesion often shows one sign of a malignant one, seldom all.

Every patient has each of them, so that every question has its ceiling; in a clinic, subtype and response are asked of
cancers alone.
"""


@dataclass(frozen=True)
class Patient:
    """One patient: what is planted, and drawn of it.

    Attributes:
        factors: Values of `FACTORS`, `(4,)`.
        labels: The class of each outcome.
        site: Where the patient was examined; outcomes do not depend on it.
        variables: The numbers of `VARIABLES`.
        absent: Those of `VARIABLES` that the protocol removes.
    """

    factors: Array
    labels: Mapping[str, int | str]
    site: Site
    variables: Mapping[str, float]
    absent: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return it for `truth.json`."""
        return {
            "factors": dict(zip(FACTORS, self.factors.tolist(), strict=True)),
            "labels": dict(self.labels),
            "site": self.site.name,
            "variables": dict(self.variables),
            "absent_variables": list(self.absent),
        }


def draw_patient(rng: Generator, settings: BreastSettings) -> Patient:
    """Draw the factors of a patient, the outcomes given these, the site and the table."""
    factors = rng.standard_normal(len(FACTORS))
    chances = rng.random(len(OUTCOMES))
    site = SITES[rng.integers(len(SITES))]
    height = round(float(rng.normal(*_HEIGHT_CM)), 1)
    gone = rng.random(len(VARIABLES)) < (settings.missing if settings.protocol == "random" else 0)
    marker = round(_MIDDLE_MARKER * float(np.exp(_MARKER_SPREAD * factors[3])), 4)
    return Patient(
        factors=factors,
        labels={one.name: _drawn(one, factors, chance) for one, chance in zip(OUTCOMES, chances, strict=True)},
        site=site,
        variables=dict(zip(VARIABLES, (marker, height), strict=True)),
        absent=tuple(name for name, absent in zip(VARIABLES, gone, strict=True) if absent),
    )


def draw_lesion(rng: Generator, settings: BreastSettings, bolus: Bolus, patient: Patient) -> Traits:
    """Draw a lesion that shows the factors of a patient; size, border, T1, v_e and v_p do not depend on them.

    k_ep = 0.4 exp(0.8 kinetics) /min, ADC = 1.2e-3 exp(−0.3 diffusion) mm²/s, T2 = 85 exp(0.35 relaxation) ms. The type
    of its curve is that of the noiseless `dce`.
    """
    kinetics, diffusion, relaxation, _ = (float(value) for value in patient.factors)
    ve, vp = float(rng.uniform(*_VE)), float(rng.uniform(*_VP))
    lesion = Traits(
        diameter=log_uniform(rng, settings.diameters),
        border=BORDERS[rng.integers(len(BORDERS))],
        curve=CurveType.PLATEAU,
        ktrans=ve * _MIDDLE_RATE * float(np.exp(_RATE_SPREAD * kinetics)),
        ve=ve,
        vp=vp,
        adc=_MIDDLE_ADC * float(np.exp(_ADC_SPREAD * diffusion)),
        pd=float(rng.uniform(*PROTONS)),
        t1=float(rng.uniform(*T1_MS)),
        t2=MIDDLE_T2 * float(np.exp(_T2_SPREAD * relaxation)),
    )
    curve = noiseless_curve(but_for_t2(lesion), bolus, settings, "dce")
    return replace(lesion, curve=curve_type(curve, settings.phases("dce_times")))


def but_for_t2(lesion: Traits) -> Traits:
    """Return a lesion as all sequences but `t2` show it."""
    return replace(lesion, t2=MIDDLE_T2)


def present_modalities(truth: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modalities that a subject has, from its `truth.json`: a scan of it, or the marker in the table."""
    has_marker = VARIABLES[0] not in truth["outcomes"]["absent_variables"]
    return tuple(
        name
        for name, scans in MODALITIES.items()
        if (has_marker if name == "table" else not set(scans).isdisjoint(truth["present"]))
    )


def _drawn(outcome: Outcome, factors: Array, chance: float) -> int | str:
    odds = np.exp(np.concatenate([[0.0], outcome.log_odds(factors[None])[0]]))
    return outcome.classes[int(np.searchsorted(np.cumsum(odds)[:-1] / odds.sum(), chance))]
