"""Truth of a simulated cohort of films, in words and numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scanweave.simulate.films.settings import FilmSettings
from scanweave.simulate.films.sites import BRIGHT, DARK, QUANTA, SITES


def describe(settings: FilmSettings, seed: int) -> dict[str, Any]:
    """Return the truth that all films share, for `truth.json`."""
    return {
        "seed": seed,
        "randomness": "numpy.random.default_rng((seed, film index, stream, number))",
        "settings": settings.record,
        "film": {
            "attenuation": "sum of path lengths times attenuation, blurred; noise of deviation (N exp(-L))^-1/2",
            "quanta_per_mm2": QUANTA,
            "black_and_white": [DARK, BRIGHT],
        },
        "shortcuts": f"a mark is there if, and only if, its finding is, in a share {settings.rho:g} of films",
        "sites": {name: asdict(SITES[name]) for name in settings.sites},
        "coordinates": "positions in mm, x to the right of the film and y down, from its middle (of a real film from "
        "`middle` [pixel]); boxes in pixels, [[left, top], [right, bottom]], edges from 0",
    }
