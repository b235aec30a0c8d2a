"""The chest of one patient as numbers, and the outlines that follow from them [mm].

x grows to the right of the film, which is the patient's left, and y to the feet; a side is -1 (left on the film) or +1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array, share_inside

SIDES = (-1, 1)
AP_SHARE = 0.3
"""Share of films taken from front to back, as of patients in bed: the breath is shallower, the clavicles higher."""
_RISE = 2.4, 0.62
"""Exponents of how fast the thorax widens below its apex."""
View = Literal["PA", "AP"]


@dataclass(frozen=True)
class Chest:
    """Hold the anatomy of one patient [mm].

    Attributes:
        view: Direction of the rays.
        apex: Height of the apices of the lungs.
        domes: Height of the top of each half of the diaphragm, by side.
        angle: Height of the costophrenic angles.
        half_width: Half of the largest inner width of the thorax.
        depth: Largest thickness of the body, and of a lung.
        hilum: Height of the hila.
        medial: Half width of the mediastinum above the heart.
        knob: How far the aortic arch bulges.
        heart: Usual width of the heart over that of the thorax, share of it right of the midline, lean [rad], aspect.
        ribs: Height of the first rib's head below the apex, distance of ribs, how far a rib falls on its way.
        clavicle: Height of the clavicles' middle ends, and how far they rise.
        trachea: x of the trachea; its half width; height of the carina.
        breast: Thickness of the breasts; 0 where they do not show.
        stomach: Radius of the air in the stomach; 0 where there is none.
    """

    view: View
    apex: float
    domes: tuple[float, float]
    angle: float
    half_width: float
    depth: tuple[float, float]
    hilum: float
    medial: float
    knob: float
    heart: tuple[float, float, float, float]
    ribs: tuple[float, float, float]
    clavicle: tuple[float, float]
    trachea: tuple[float, float, float]
    breast: float
    stomach: float

    def wall(self, y: Array) -> Array:
        """Return half the inner width of the thorax at heights y."""
        share = np.clip((y - self.apex) / (self.angle - self.apex), 0, 1)
        return np.asarray(self.half_width * (1 - (1 - share) ** _RISE[0]) ** _RISE[1] + 1e-3, np.float32)

    def mediastinum(self, side: int, y: Array) -> Array:
        """Return how far the mediastinum reaches from the midline on a side, the heart left out."""
        round_apex = 20 * np.exp(-np.clip(y - self.apex, 0, None) / 14)
        arch = self.knob * np.exp(-(((y - self.hilum + 38) / 15) ** 2)) if side > 0 else 0
        trunk = (9 if side > 0 else 5) * np.exp(-(((y - self.hilum - 4) / 20) ** 2))
        return np.asarray(self.medial - 5 + round_apex + arch + trunk, np.float32)

    def dome(self, side: int, outwards: Array) -> Array:
        """Return the height of the diaphragm at distances from the midline on a side."""
        top, middle = self.domes[side > 0], 0.45 * self.half_width
        share = (outwards - middle) / (self.half_width - middle)
        drop = np.where(share > 0, np.abs(share) ** 2.4, 0.25 * share**2)
        return np.asarray(top + (self.angle - top) * drop, np.float32)

    def lung(self, side: int, x: Array, y: Array, softness: float) -> Array:
        """Return the share of pixels within the outline of a lung, as if there were no heart.

        Args:
            side: Which lung.
            x: Positions [mm], which broadcast with y.
            y: Positions [mm].
            softness: Width of the border [mm].
        """
        out = side * x
        within = np.minimum(self.wall(y) - out, out - self.mediastinum(side, y))
        return share_inside(np.minimum(within, self.dome(side, out) - y), softness)

    def is_lung(self, side: int, x: float, y: float, margin: float) -> bool:
        """Tell whether a place lies in a lung, that far from its wall and the diaphragm, heart or not."""
        at = np.array([y], np.float32)
        out = np.array([side * x], np.float32)
        room = np.minimum(self.wall(at) - out - margin, self.dome(side, out) - at - margin)
        return bool(np.minimum(room, out - self.mediastinum(side, at))[0] > 0) and y > self.apex + 2 * margin

    @property
    def carina(self) -> tuple[float, float]:
        """Place where the trachea parts."""
        return self.trachea[0], self.trachea[2]

    def heart_ellipse(self, ratio: float) -> tuple[float, float, float, float]:
        """Return the middle x, y and the half axes of a heart whose width is `ratio` of the thorax's."""
        _, right, lean, aspect = self.heart
        half = ratio * self.half_width
        long = half / np.hypot(np.cos(lean), aspect * np.sin(lean))
        tall = long * np.hypot(np.sin(lean), aspect * np.cos(lean))
        return (1 - 2 * right) * half, self.domes[1] + 18 - tall, float(long), float(long * aspect)

    def heart_radius(self, ratio: float, x: Array, y: Array) -> Array:
        """Return the squared distance from the middle of that heart, 1 on its outline."""
        across, down, long, short = self.heart_ellipse(ratio)
        cosine, sine = np.cos(self.heart[2]), np.sin(self.heart[2])
        first = (x - across) * cosine + (y - down) * sine
        second = (y - down) * cosine - (x - across) * sine
        return np.asarray((first / long) ** 2 + (second / short) ** 2, np.float32)

    def rib(self, number: int, side: int, front: bool) -> NDArray[np.float64]:
        """Return the middle line of a rib's arc at the back or the front, x and y, `(N, 2)`.

        Args:
            number: From 0, the first rib.
            side: Side of the body.
            front: Whether the arc in front is meant, which goes on where that at the back meets the wall.
        """
        start, step, fall = self.ribs
        head = self.apex + start + step * number
        turn = head + fall * (0.5 + 0.14 * number)
        edge = float(self.wall(np.array([turn], np.float32))[0]) * (1 - 0.14 * max(number - 7, 0))
        u = np.linspace(0, 1, 9)
        if front:
            reach = edge - (0.62 * edge - 4 * max(number - 4, 0)) * np.sin(u * np.pi / 2) ** 1.5
            down = turn + (22 + 3.5 * number) * u**0.9
            return np.stack([side * reach, down], axis=1)
        out = 16 + (edge - 16) * np.sin(u * np.pi / 2)
        down = head - 5 * np.sin(np.pi * np.clip(1.5 * u, 0, 1)) + (turn - head) * u**2.2
        return np.stack([side * out, down], axis=1)


def draw_chest(rng: Generator) -> Chest:
    """Draw the anatomy of a patient."""
    view: View = "AP" if rng.random() < AP_SHARE else "PA"
    flat = 14.0 if view == "AP" else 0.0
    apex = rng.normal(-124, 5) - flat / 4
    right = rng.normal(62, 7) - flat
    left = right + rng.uniform(4, 14)
    angle = left + rng.uniform(26, 36)
    half = float(np.clip(rng.normal(126, 6), 112, 138))
    hilum = rng.normal(-12, 5) - flat / 3
    return Chest(
        view=view,
        apex=apex,
        domes=(right, left),
        angle=angle,
        half_width=half,
        depth=(rng.normal(215, 12), rng.normal(150, 10)),
        hilum=hilum,
        medial=rng.uniform(25, 32),
        knob=rng.uniform(5, 14),
        heart=(rng.uniform(0.38, 0.46), rng.uniform(0.27, 0.36), rng.uniform(0.45, 0.75), rng.uniform(0.72, 0.82)),
        ribs=(rng.uniform(2, 8), (angle - apex) / rng.uniform(9.6, 10.8), rng.uniform(28, 46)),
        clavicle=(apex + rng.uniform(22, 34) - 0.8 * flat, rng.uniform(6, 22)),
        trachea=(rng.normal(2, 2.5), rng.uniform(7, 9), hilum - rng.uniform(26, 34)),
        breast=rng.uniform(12, 45) * float(rng.random() < 0.5),
        stomach=rng.uniform(12, 24) * float(rng.random() < 0.6),
    )
