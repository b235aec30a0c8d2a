"""Blood that takes up contrast agent: vessels, choroid plexus and the covering of the brain.

Before the agent it has, by choice, the signal of what surrounds it, so that only `t1c` (and `dce`) shows it.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scanweave.simulate.anatomy import Anatomy
from scanweave.simulate.fields import Array, threads

_WIDTH = 0.16
"""Radius of a vessel in units of the fields whose common zeros it follows; about 1.3 mm."""


def draw_blood(rng: Generator, anatomy: Anatomy, amount: float) -> Array:
    """Draw the share of enhancing blood in each voxel, `(N,)` in [0, 0.9].

    A vessel runs where two smooth random fields are both zero, which is a curve.

    Args:
        rng: The source of randomness.
        anatomy: The brain.
        amount: Factor on the share; 0 for none.
    """
    csf, gm, wm = anatomy.fractions
    first, second = (anatomy.field(rng, 15.0) for _ in range(2))
    tubes = threads(first, second, _WIDTH) * (csf + 0.9 * gm + 0.35 * wm)
    patches = anatomy.field(rng, 11.0)
    cover = np.exp(-anatomy.depth / 2.0) * np.clip(0.35 * patches + 0.1, 0, 0.7)
    plexus = np.where(anatomy.depth > 30.0, csf**2 * np.clip(patches - 0.6, 0, 1), 0)
    return np.asarray(np.clip(amount * (tubes + cover + plexus), 0, 0.9), np.float32)
