"""Smooth random fields on a box of voxels: sums of few cosines, which cost three small matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float32]


def smooth_field(rng: Generator, shape: Sequence[int], waves: int) -> Array:
    """Return a field `shape` of mean 0 and deviation 1.

    Args:
        rng: The source of chance; it draws the same for every shape.
        shape: Voxels along each axis.
        waves: Half waves along each axis, at most; more are finer.
    """
    weights = rng.standard_normal((waves,) * 3, dtype=np.float32)
    weights[0, 0, 0] = 0.0
    bases = [np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, np.arange(waves))) for size in shape]
    made = np.einsum("xa,yb,zc,abc->xyz", *(b.astype(np.float32) for b in bases), weights, optimize=True)
    return np.asarray((made - made.mean()) / max(float(made.std()), 1e-6), np.float32)
