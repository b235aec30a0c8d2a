"""Independent sources of randomness of a simulated brain: what one draws does not move another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator


class Stream(IntEnum):
    """Kinds of draws."""

    ANATOMY, LESIONS, TISSUE, MICROSTRUCTURE, BLOOD, FIELD, SCAN, PLAQUES, HEAD, SCANNER = range(10)


def stream(seed: int, index: int, *key: int) -> Generator:
    """Return the source of a subject for a `Stream`, and for what else tells its draws apart."""
    return np.random.default_rng((seed, index, *key))
