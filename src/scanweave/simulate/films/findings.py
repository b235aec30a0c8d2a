"""Findings as what they are: where they lie in a chest and how large they are [mm]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from scanweave.simulate.films.chest import SIDES, Chest
from scanweave.simulate.films.settings import FINDINGS, FindingName

_TRIES = 400
"""Places that are tried for a nodule; the lungs fill about half of where they are drawn."""

_LEAST_FLUID, _LEAST_AIR = 18.0, 0.07
"""Least height of an effusion [mm] and share by which a lung collapses, however inconspicuous: each covers pixels."""


@dataclass(frozen=True)
class Nodule:
    """Hold a round nodule: middle, radius, and its density as a share of soft tissue's."""

    x: float
    y: float
    radius: float
    density: float


@dataclass(frozen=True)
class Effusion:
    """Hold fluid in a pleural space: side, height over the costophrenic angle, and how much lung it replaces."""

    side: int
    height: float
    density: float


@dataclass(frozen=True)
class Pneumothorax:
    """Hold air in a pleural space: side, and the size of the collapsed lung over what it was."""

    side: int
    shrunk: float


@dataclass(frozen=True)
class Fracture:
    """Hold a broken rib: side, number from 0, share of its arc at the back, step across and gap along it."""

    side: int
    rib: int
    share: float
    step: float
    gap: float


@dataclass(frozen=True)
class Cardiomegaly:
    """Hold an enlarged heart: its width over that of the thorax, above 0.5."""

    ratio: float


Finding = Nodule | Effusion | Pneumothorax | Fracture | Cardiomegaly


@dataclass(frozen=True)
class Findings:
    """Hold the findings of a film, each None where it is absent."""

    nodule: Nodule | None = None
    effusion: Effusion | None = None
    pneumothorax: Pneumothorax | None = None
    fracture: Fracture | None = None
    cardiomegaly: Cardiomegaly | None = None

    def ratio(self, chest: Chest) -> float:
        """Return the width of the heart over that of the thorax."""
        return self.cardiomegaly.ratio if self.cardiomegaly else chest.heart[0]

    @property
    def present(self) -> dict[FindingName, Finding]:
        """The findings that are there, by name."""
        return {name: getattr(self, name) for name in FINDINGS if getattr(self, name) is not None}


def nodule_sizes(rng: Generator, conspicuity: float) -> tuple[float, float]:
    """Draw the radius of a nodule [mm] and its density."""
    return float(np.exp(rng.uniform(np.log(6), np.log(14)))), conspicuity * rng.uniform(0.75, 1.1)


def draw_nodule(rng: Generator, chest: Chest, conspicuity: float) -> Nodule:
    """Draw a nodule anywhere in a lung, behind ribs or the heart too."""
    radius, density = nodule_sizes(rng, conspicuity)
    places = rng.uniform((-1, 0), (1, 1), (_TRIES, 2))
    for across, down in places:
        x, y = across * chest.half_width, chest.apex + down * (chest.angle - chest.apex)
        if chest.is_lung(1 if x > 0 else -1, x, y, radius):
            return Nodule(float(x), float(y), radius, density)
    return Nodule(-chest.half_width / 2, chest.hilum, radius, density)


def _effusion(rng: Generator, chest: Chest, conspicuity: float) -> Effusion:
    height = conspicuity * float(np.exp(rng.uniform(np.log(24), np.log(75))))
    height = float(np.clip(height, _LEAST_FLUID, 0.6 * (chest.angle - chest.apex)))
    return Effusion(_side(rng), height, float(min(0.9 * conspicuity, 1.0) * rng.uniform(0.85, 1)))


def _pneumothorax(rng: Generator, chest: Chest, conspicuity: float) -> Pneumothorax:
    return Pneumothorax(_side(rng), 1 - float(np.clip(conspicuity * rng.uniform(0.11, 0.3), _LEAST_AIR, 0.6)))


def _fracture(rng: Generator, chest: Chest, conspicuity: float) -> Fracture:
    side, rib, share = _side(rng), int(rng.integers(2, 8)), rng.uniform(0.45, 0.85)
    step = conspicuity * rng.uniform(3.5, 6) * (1 if rng.random() < 0.5 else -1)
    return Fracture(side, rib, share, step, conspicuity * rng.uniform(1.5, 3))


def _cardiomegaly(rng: Generator, chest: Chest, conspicuity: float) -> Cardiomegaly:
    return Cardiomegaly(0.5 + min(conspicuity * rng.uniform(0.05, 0.13), 0.25))


_DRAW: dict[FindingName, Callable[[Generator, Chest, float], Finding]] = {
    "nodule": draw_nodule,
    "effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "fracture": _fracture,
    "cardiomegaly": _cardiomegaly,
}


def draw_finding(name: FindingName, rng: Generator, chest: Chest, conspicuity: float) -> Finding:
    """Draw a finding of that name in a chest."""
    return _DRAW[name](rng, chest, conspicuity)


def _side(rng: Generator) -> int:
    return SIDES[int(rng.integers(2))]
