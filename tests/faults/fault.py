"""Faults, and what a user must get to see of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Make = Callable[[Path], None]
Exercise = Callable[[Path], str]


@dataclass(frozen=True)
class Fault:
    """One malformed input.

    `make` writes it into an empty folder; `exercise` uses it as a user would and returns `"repair"` or `"ok"`, or
    raises `ScanweaveError`; `expected` is `"error"`, `"repair"` or `"ok"` (harmless by the file format's own rules), or
    `"any"` of these, where chance made the fault.
    """

    kind: str
    name: str
    make: Make
    exercise: Exercise
    expected: str = "error"


def texture(shape: tuple[int, ...] = (16, 18, 20)) -> np.ndarray:
    """A small image that nothing is wrong with."""
    return np.random.default_rng([7, *shape]).integers(1, 900, shape).astype(np.int16)


def affine(step: float = 10.0) -> np.ndarray:
    """A plain grid of cubic voxels."""
    return np.array([[step, 0, 0, -80.0], [0, step, 0, -90.0], [0, 0, step, -100.0], [0, 0, 0, 1.0]])
