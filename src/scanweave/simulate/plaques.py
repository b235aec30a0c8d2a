"""Small lesions of white matter, like those of multiple sclerosis or of small vessels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from scanweave.simulate.anatomy import Anatomy
from scanweave.simulate.fields import Array, share_inside
from scanweave.simulate.lesions import TISSUES

PLAQUE_SHARE = 0.4
"""Share of subjects with such lesions: our choice, so that neither their presence nor their absence is the rule."""
ENHANCING_SHARE = 0.15
"""Share of them that take up contrast agent: our choice; active plaques are the few."""
MOST_PLAQUES = 30
_RADIUS = (1.5, 5.0)
"""Least and greatest radius [mm]; plaques count from 3 mm across (McDonald criteria, Thompson et al. 2018)."""
_SOFTNESS = 0.6
_DEPTH = 8.0
"""Least distance under the surface of the brain [mm]."""


def add_plaques(rng: Generator, anatomy: Anatomy, fractions: Array) -> list[dict[str, Any]]:
    """Put small lesions, or none, into the white matter of `fractions` `(6, N)` in place; return what was drawn.

    Their tissue is that of oedema, which is dark in T1 and bright in T2 and FLAIR; of those that enhance, of the rim.
    """
    if rng.random() >= PLAQUE_SHARE:
        return []
    seats = np.flatnonzero((anatomy.fractions[2] > 0.7) & (anatomy.depth > _DEPTH) & (fractions[2] > 0.7))
    count = min(MOST_PLAQUES, 1 + int(rng.lognormal(np.log(6.0), 0.8)))
    found = []
    for seat in rng.integers(len(seats), size=count) if len(seats) else ():
        radius, enhancing = float(rng.uniform(*_RADIUS)), bool(rng.random() < ENHANCING_SHARE)
        stretch = np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)[:, None]
        centre = anatomy.places[:, seats[seat]]
        distance = np.sqrt((((anatomy.places - centre[:, None]) * stretch) ** 2).sum(axis=0))
        near = np.flatnonzero(distance < radius + 4 * _SOFTNESS)
        share = share_inside(np.float32(radius) - distance[near], _SOFTNESS)
        fractions[:, near] *= 1 - share
        fractions[TISSUES.index("rim" if enhancing else "oedema"), near] += share
        place = [round(float(value), 1) for value in centre]
        found.append({"centre_in_template_mm": place, "radius_mm": round(radius, 1), "enhancing": enhancing})
    return found
