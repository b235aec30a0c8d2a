"""Truth of a simulated cohort of breasts, in words and numbers."""

from __future__ import annotations

from typing import Any

from scanweave.measures.enhancement_curves import EARLY_S, PLATEAU, CurveType
from scanweave.physics.tracer_kinetics import HEMATOCRIT
from scanweave.simulate.breast.anatomy import TISSUES
from scanweave.simulate.breast.ceiling import FILE
from scanweave.simulate.breast.maps import CLIPPED, FAINT, MAPS, MOST_ADC
from scanweave.simulate.breast.outcomes import MIDDLE_T2
from scanweave.simulate.breast.protocol import NOISE, PROTOCOL
from scanweave.simulate.breast.settings import ADC, BreastSettings
from scanweave.simulate.breast.sites import SITES
from scanweave.simulate.breast.tissue import COLUMNS, FAT, PARAMETERS
from scanweave.simulate.breast.traits import MARGIN, SERIES

_EQUATIONS = {
    "washin": "(S_early - S_before) / S_before",
    "washout": "(S_last - S_early) / S_early",
}
_ENHANCING = ("dce", "fsdce", "washin", "washout")
_ROLES: dict[str, dict[str, Any]] = {
    "washin": {"role": "redundant", "of": ["dce"]},
    "washout": {"role": "redundant", "of": ["dce"]},
    ADC: {"role": "redundant", "of": ["dwi"]},
    "dwi": {"role": "unique", "what": ["diffusion (ADC), which nothing else depends on"]},
    "dce": {"role": "shared", "what": ["uptake of the contrast agent"], "with": ["fsdce"]},
    "fsdce": {"role": "shared", "what": ["uptake of the contrast agent"], "with": ["dce"]},
    "t2": {"role": "unique", "what": ["T2, which else shows only in dwi"]},
}
_T2_ALONE = {"role": "unique", "what": [f"T2 of the lesion, which all other sequences show as {MIDDLE_T2:g} ms"]}
_OUTCOMES = {
    "outcomes": {"see": FILE},
    "sites": {site.name: {"units": site.units, "noise": site.noise, "blur_mm": site.blur} for site in SITES},
}


def describe(settings: BreastSettings, seed: int) -> dict[str, Any]:
    """Return the truth that all subjects share, for `truth.json`."""
    names = settings.sequences
    roles = _ROLES | ({"t2": _T2_ALONE} if settings.outcomes else {})
    return {
        "seed": seed,
        "randomness": "numpy.random.default_rng([seed, subject index, stream, number])",
        "settings": settings.record,
        "sequences": {name: _sequence(name, settings) for name in names},
        "tissues": {name: dict(zip(COLUMNS, values, strict=True)) for name, values in PARAMETERS.items()},
        "fat": {"t1_ms": float(FAT.t1[0]), "t2_ms": float(FAT.t2[0])},
        "kinetics": {
            "model": "extended Tofts",
            "plasma": "Parker et al. 2006, times the subject's dose",
            "hematocrit": HEMATOCRIT,
            "injection_s": settings.injection,
        },
        "curve_types": {
            "numbers": {str(int(kind)): kind.name.lower() for kind in CurveType},
            "rule": f"change from the early peak to the last frame: above +{PLATEAU:.0%} persistent, "
            f"below -{PLATEAU:.0%} washout, else plateau (ACR BI-RADS; Kuhl et al. 1999)",
            "early_peak": f"highest signal within {EARLY_S:g} s of the injection",
            "planted": "the type of the noiseless dce, which follows from the planted kinetics"
            if settings.outcomes
            else f"each lesion's noiseless curve in {' and '.join(SERIES)} is {MARGIN:.0%} within its bounds",
        },
        "planted": {
            "roles": {name: role for name, role in roles.items() if name in names},
            "uptake_visible_in": [name for name in names if name in _ENHANCING],
            "diffusion_visible_in": [name for name in names if name in ("dwi", ADC)],
        },
        **(_OUTCOMES if settings.outcomes else {}),
        "masks": {
            "breast": {"1": "breast, that is all before the muscle"},
            "tissue": {str(number): name for number, name in enumerate(TISSUES, start=1)},
            "lesion": "the number of the lesion, largest diameter first",
        },
    }


def _sequence(name: str, settings: BreastSettings) -> dict[str, Any]:
    if name == ADC:
        return {
            "computed_from": ["dwi"],
            "of": "the acquired series, with its noise",
            "equation": "slope of -ln S over b, least squares",
            "unit": "1e-3 mm^2/s",
            "faint": FAINT,
            "where_faint": "0 where the signal of the lowest b is below this share of its 99th percentile",
            "clipped": [0.0, MOST_ADC],
        }
    if name in MAPS:
        about = "0 where the signal before the agent is below this share of its 99th percentile"
        maps = {"equation": _EQUATIONS[name], "faint": FAINT, "where_faint": about, "clipped": list(CLIPPED)}
        return {"computed_from": ["dce"], "of": "the acquired series, with its noise"} | maps
    facts = PROTOCOL[name] | {"noise": settings.noise * NOISE[name]}
    if name in SERIES:
        return facts | {"times_s": list(getattr(settings, SERIES[name]))}
    return facts | ({"b_values_s_per_mm2": list(settings.b_values)} if name == "dwi" else {})
