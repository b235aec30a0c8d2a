"""Findings of a body: which ones it has, where, how large; drawn before anything is painted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from scanweave.simulate.bodies.settings import FindingName

Side = Literal["right", "left"]
SIDES: tuple[Side, Side] = ("right", "left")
LOBES: dict[Side, tuple[str, ...]] = {"right": ("upper", "middle", "lower"), "left": ("upper", "lower")}
LINKS: dict[FindingName, tuple[FindingName, float]] = {
    "effusion": ("cardiomegaly", 2.5),
    "consolidation": ("effusion", 2.0),
    "splenomegaly": ("steatosis", 2.0),
}
"""Findings that are more frequent beside another one, and how many times. Ours: no study is behind the numbers."""
SIZES: dict[FindingName, tuple[float, float]] = {
    "effusion": (14.0, 45.0),
    "consolidation": (28.0, 70.0),
    "nodule": (7.0, 28.0),
    "liver_lesion": (10.0, 45.0),
    "kidney_cyst": (12.0, 40.0),
}
"""Least and largest size [mm]: depth of fluid behind a lung, else diameter."""
ENLARGED: dict[FindingName, tuple[float, float]] = {"cardiomegaly": (1.32, 1.55), "splenomegaly": (1.25, 1.5)}
"""Factor on the size of an organ."""
FATTY = (-15.0, 30.0)
"""Attenuation of a fatty liver without contrast agent [HU]; a healthy one has some 60."""
MOST = {"nodule": 3, "liver_lesion": 3}
"""Most of a kind in one body."""
_BOTH_SIDES = 0.4
"""Chance of an effusion to lie on both sides."""


@dataclass(frozen=True)
class Finding:
    """Hold one finding.

    Attributes:
        name: What it is.
        side: On which side of the patient, where there are two.
        lobe: Of the lung.
        size: Diameter or depth [mm], factor on an organ's size, or the attenuation of a fatty liver [HU].
        kind: Of a nodule solid or calcified, of a liver lesion hypodense or enhancing.
        centre: Where it lies before deformation, RAS mm; known once the body is.
    """

    name: FindingName
    size: float
    side: Side | None = None
    lobe: str = ""
    kind: str = ""
    centre: tuple[float, float, float] | None = None

    @property
    def half(self) -> Side:
        """The side, of what lies on one.

        Raises:
            ValueError: It lies on none.
        """
        if self.side is None:
            raise ValueError(f"{self.name} lies on no side")
        return self.side

    def at(self, centre: np.ndarray) -> Finding:
        """Return this finding at a place."""
        x, y, z = (round(float(value), 1) for value in centre)
        return replace(self, centre=(x, y, z))

    def facts(self) -> dict[str, Any]:
        """Return what is known of it, for `truth.json`."""
        return {name: value for name, value in vars(self).items() if value not in (None, "")}


def draw_findings(rng: Generator, prevalence: dict[FindingName, float]) -> list[Finding]:
    """Draw which findings a body has. The number of draws is always the same, so that chances do not move others."""
    chances, there = rng.random(len(prevalence)), dict[FindingName, bool]()
    found: list[Finding] = []
    for (name, share), chance in zip(prevalence.items(), chances, strict=True):
        there[name] = bool(chance < _chance(name, share, prevalence, there))
        drawn = _draw(rng, name)
        found += drawn if there[name] else []
    return found


def _chance(
    name: FindingName, share: float, prevalence: dict[FindingName, float], there: dict[FindingName, bool]
) -> float:
    """Return the chance of a finding beside those that are drawn, so that over all bodies it is `share`.

    It is `times` as high beside the finding that it is linked to, or 1 where that would be more.
    """
    other, times = LINKS.get(name, (None, 1.0))
    if other not in prevalence:
        return share
    beside = prevalence[other]
    usual = share / (times * beside + 1 - beside)
    linked = min(1.0, times * usual)
    if there[other]:
        return linked
    return (share - beside * linked) / (1 - beside)


def _draw(rng: Generator, name: FindingName) -> list[Finding]:
    count = int(rng.integers(1, MOST.get(name, 1) + 1))
    drawn = [_one(rng, name) for _ in range(MOST.get(name, 1))][:count]
    if name == "effusion" and rng.random() < _BOTH_SIDES:
        drawn += [replace(drawn[0], side=SIDES[drawn[0].side == SIDES[0]], size=round(drawn[0].size * 0.8, 1))]
    return drawn


def _one(rng: Generator, name: FindingName) -> Finding:
    share, side, part, other = rng.random(4).tolist()
    if name == "steatosis":
        return Finding(name, round(FATTY[0] + share * (FATTY[1] - FATTY[0]), 1))
    if name in ENLARGED:
        low, high = ENLARGED[name]
        return Finding(name, round(low + share * (high - low), 3))
    low, high = SIZES[name]
    size = round(low * (high / low) ** share, 1)  # small ones are as frequent as large ones, by factors
    if name == "liver_lesion":
        return Finding(name, size, kind="enhancing" if other < 0.25 else "hypodense")
    where = SIDES[int(side < 0.5)]
    if name in ("effusion", "kidney_cyst"):
        return Finding(name, size, where)
    lobe = LOBES[where][int(part * len(LOBES[where]))]
    kind = "" if name == "consolidation" else "calcified" if other < 0.15 else "solid"
    return Finding(name, size, where, lobe, kind)
