"""Marks that are no finding: a letter of lead for the side, a tube in the trachea, a port or a pacemaker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array
from scanweave.simulate.films.plane import FilmPlane, Window, curve
from scanweave.simulate.films.settings import MARKS, FilmSettings, MarkName
from scanweave.simulate.films.sites import Site

LEAD, METAL, PLASTIC, STRIPE = 3.6, 2.0, 0.12, 0.35
"""Line integrals of a letter, a metal case, a catheter, and the stripe of a tube."""
_TUBE, _WALL = 5.0, 1.3
"""Radius of a tracheal tube and thickness of its wall [mm]."""
_R = np.array([[0, 1], [0, 0], [0.45, 0], [0.62, 0.1], [0.62, 0.4], [0.45, 0.5], [0, 0.5], [0.3, 0.5], [0.65, 1]])
_L = np.array([[0, 0], [0, 1], [0.58, 1]])
_LETTERS = {"R": _R, "L": _L}
"""Corners of the letters over their height, from the top left."""


@dataclass(frozen=True)
class Landmarks:
    """Hold where marks are placed by [mm]: heights of the apices and hila, the carina, half width of the thorax."""

    apex: float
    carina: tuple[float, float]
    hilum: float
    half_width: float


@dataclass
class Mark:
    """Hold a mark on a film: its line integrals and mask `(H, W)`, and what was drawn [mm]."""

    attenuation: Array
    mask: NDArray[np.bool_]
    facts: dict[str, Any] = field(default_factory=dict)

    def cover(self, plane: FilmPlane, line: NDArray[np.float64], radius: float, weight: float) -> None:
        """Draw a line of even attenuation of that radius [mm]."""
        window, distance = plane.line_distance(line, radius + plane.spacing)
        self._put(window, weight * plane.inside(radius - distance), distance <= max(radius, plane.spacing / 2))

    def cover_hollow(self, plane: FilmPlane, line: NDArray[np.float64], radius: float, wall: float) -> None:
        """Draw a tube: its walls, seen from the side, and a stripe along one of them."""
        window, distance = plane.line_distance(line, radius + plane.spacing)
        chord = np.sqrt(np.clip(radius**2 - distance**2, 0, None))
        chord -= np.sqrt(np.clip((radius - wall) ** 2 - distance**2, 0, None))
        self._put(window, PLASTIC / wall * chord, distance <= radius)
        self.cover(plane, line + np.array([radius - wall, 0.0]), 0.8, STRIPE)

    def _put(self, window: Window, seen: Array, inside: NDArray[np.bool_]) -> None:
        self.attenuation[window] = np.maximum(self.attenuation[window], seen)
        self.mask[window] |= inside


def drawn_marks(rng: Generator, settings: FilmSettings, site: Site, found: Collection[str]) -> tuple[MarkName, ...]:
    """Return the marks of a film: each agrees with its finding with the chance rho, others come by the site's chance.

    Args:
        rng: The source of randomness; the number of draws is the same, whatever is found.
        settings: Shortcuts and rho.
        site: The site.
        found: Findings that are there.
    """
    there = []
    for mark, draw, chance in zip(MARKS, rng.random(len(MARKS)), site.chances, strict=True):
        finding = settings.shortcuts.get(mark)
        if draw < chance if finding is None else (draw < settings.rho) == (finding in found):
            there.append(mark)
    return tuple(there)


def draw_mark(name: MarkName, rng: Generator, plane: FilmPlane, place: Landmarks, site: Site) -> Mark:
    """Draw a mark of that name.

    Args:
        name: Its name.
        rng: The source of its place and kind.
        plane: The pixels.
        place: Where the chest lies.
        site: The style of its marker.
    """
    mark = Mark(plane.empty(), np.zeros((plane.rows, plane.columns), bool))
    if name == "marker":
        _draw_letter(mark, rng, plane, site)
    elif name == "tube":
        _draw_tube(mark, rng, plane, place)
    elif rng.random() < 0.5:
        _draw_port(mark, rng, plane, place)
    else:
        _draw_pacemaker(mark, rng, plane, place)
    return mark


def _draw_letter(mark: Mark, rng: Generator, plane: FilmPlane, site: Site) -> None:
    left, top, right, _ = plane.edges
    tall, wide = site.height, 0.65 * site.height
    inwards, down = rng.uniform(9, 16), rng.uniform(9, 16)
    corner = np.array([left + inwards if site.letter == "R" else right - inwards - wide, top + down])
    turn = rng.normal(0, 0.06)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    mark.cover(plane, _LETTERS[site.letter] * tall @ turned + corner, site.stroke / 2, LEAD)
    if site.framed:
        room = 0.22 * tall
        frame = np.array([[-room, -room], [wide + room, -room], [wide + room, tall + room], [-room, tall + room]])
        mark.cover(plane, np.concatenate([frame, frame[:1]]) @ turned + corner, 0.9, LEAD)
    mark.facts = {"letter": site.letter, "corner": _rounded(corner), "height": tall}


def _draw_tube(mark: Mark, rng: Generator, plane: FilmPlane, place: Landmarks) -> None:
    across, carina = place.carina
    tip = np.array([across, carina - rng.uniform(18, 42)])
    lean = rng.normal(0, 4)
    start = np.array([across + lean, min(plane.edges[1], tip[1] - 70) - 10])
    middle = (start + tip) / 2 + (0.6 * lean, 0)
    line = curve(np.stack([start, middle, tip]), 8)
    mark.cover_hollow(plane, line, _TUBE, _WALL)
    mark.facts = {"kind": "endotracheal tube", "tip": _rounded(tip)}


def _draw_port(mark: Mark, rng: Generator, plane: FilmPlane, place: Landmarks) -> None:
    side = -1 if rng.random() < 0.7 else 1
    chamber = np.array([side * rng.uniform(0.55, 0.75) * place.half_width, place.apex + rng.uniform(45, 75)])
    tip = np.array([place.carina[0] - 22, place.hilum + rng.uniform(-10, 25)])
    vein = np.array([place.carina[0] + side * 42, place.apex + rng.uniform(14, 24)])
    bend = np.array([place.carina[0] - 20, place.apex + 45])
    ring = np.linspace(0, 2 * np.pi, 13)
    circle = chamber + 9 * np.stack([np.cos(ring), np.sin(ring)], axis=1)
    mark.cover(plane, circle, 2.2, METAL / 2)
    mark.cover(plane, np.stack([chamber, chamber + 1e-3]), 5.0, METAL / 3)
    mark.cover(plane, curve(np.stack([chamber - (0, 9), vein, bend, tip]), 14), 1.3, STRIPE)
    mark.facts = {"kind": "port", "chamber": _rounded(chamber), "tip": _rounded(tip)}


def _draw_pacemaker(mark: Mark, rng: Generator, plane: FilmPlane, place: Landmarks) -> None:
    case = np.array([0.78 * place.half_width + rng.normal(0, 5), place.apex + rng.uniform(38, 60)])
    tip = np.array([0.28 * place.half_width + rng.normal(0, 6), place.hilum + rng.uniform(68, 85)])
    bend = np.array([place.carina[0] - 20, place.apex + 55])
    atrium = np.array([place.carina[0] - 24, place.hilum + 45])
    vein = np.array([place.carina[0] + 38, place.apex + rng.uniform(12, 22)])
    body = np.array([[-9.0, -6.0], [9.0, -6.0], [9.0, 7.0], [-9.0, 7.0], [-9.0, -6.0]])
    for share in (1.0, 0.3):
        mark.cover(plane, case + body * share, 11.0, METAL)
    mark.cover(plane, curve(np.stack([case - (8, 12), vein, bend, atrium, tip]), 18), 1.0, 2 * STRIPE)
    mark.cover(plane, np.stack([tip - (2, 2), tip]), 1.8, METAL / 2)
    mark.facts = {"kind": "pacemaker", "case": _rounded(case), "tip": _rounded(tip)}


def _rounded(place: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 2) for value in place]
