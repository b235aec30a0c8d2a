"""Truth of a simulated cohort, in words and numbers."""

from __future__ import annotations

from typing import Any

from scanweave.simulate.artefacts import NOISE
from scanweave.simulate.dynamic import ARRIVAL, FLIP, TE, TR, WASH_IN, WASH_OUT
from scanweave.simulate.lesions import TISSUES
from scanweave.simulate.sequences import PROTOCOL
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.tissue import PARAMETERS

_ROLES: dict[str, dict[str, Any]] = {
    "t2r": {
        "role": "redundant",
        "of": ["t2"],
        "equation": "1 - exp(-t2 / 0.6), t2 noiseless and in units of its mean over the brain",
        "note": "monotone, saturating and of low noise: poorer than t2, hence the easiest to generate",
    },
    "t1c": {
        "role": "unique",
        "what": ["enhancing rim (lesion label 2)", "vessels", "choroid plexus", "covering of the brain"],
        "note": "before contrast agent the rim equals oedema, and enhancing blood what surrounds it",
    },
    "mix": {
        "role": "sum",
        "of": ["t1", "t2"],
        "equation": "t1 / (t1 + t2), both noiseless and in units of their means over the brain",
        "note": "T1 and T2 vary independently within a tissue; t1 and t1c show the one, t2, t2r and flair the other",
    },
}


def describe(settings: BrainSettings, seed: int) -> dict[str, Any]:
    """Return the truth that all subjects share, for `truth.json`."""
    names = settings.names
    return {
        "seed": seed,
        "randomness": "numpy.random.default_rng([seed, subject index, stream])",
        "settings": settings.record,
        "sequences": {name: _sequence(name, settings) for name in names},
        "tissues": {
            name: dict(zip(("pd", "t1_ms", "t2_ms", "contrast_mmol_per_l"), values, strict=True))
            for name, values in PARAMETERS.items()
        },
        "planted": {
            "roles": {name: role for name, role in _ROLES.items() if name in names},
            "c_d_lowest": "t2r" if "t2r" in names else None,
            "c_d_highest": "t1c" if "t1c" in names else None,
            "rim_visible_in": [name for name in names if name in ("t1c", "dce")],
            "dce_seconds": _time_constants() if "dce" in names else None,
        },
        "masks": {
            "brain": {"1": "brain"},
            "tissue": {"1": "csf", "2": "gm", "3": "wm"},
            "lesion": {str(number): name for number, name in enumerate(TISSUES[3:], start=1)},
        },
    }


def _time_constants() -> dict[str, dict[str, float]]:
    """Return wash-in and wash-out of every tissue that takes up contrast agent [s]."""
    rows = zip(PARAMETERS, WASH_IN, WASH_OUT, strict=True)
    return {name: {"wash_in": float(rise), "wash_out": float(fall)} for name, rise, fall in rows if PARAMETERS[name][3]}


def _sequence(name: str, settings: BrainSettings) -> dict[str, Any]:
    noise = {"noise": settings.noise * NOISE[name]}
    if name == "dce":
        timing = {"tr": TR, "te": TE, "flip": FLIP, "arrival_s": ARRIVAL}
        frames = {"frames": settings.dce_frames, "interval_s": settings.dce_interval}
        return {"equation": "spoiled_gradient_echo"} | timing | frames | noise
    if settings.scanners:
        return {"drawn": "by subject, see scanner in its truth"} | noise
    return PROTOCOL.get(name, {"computed_from": ["t2"] if name == "t2r" else ["t1", "t2"]}) | noise
