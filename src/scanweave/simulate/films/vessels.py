"""Vessels of the lungs: trees from the hila, each branch a line of points of falling width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array
from scanweave.simulate.films.chest import SIDES, Chest
from scanweave.simulate.films.plane import FilmPlane

_BRANCHES, _FORKS, _STEPS, _STEP = 9, 5, 130, 0.9
"""Branches that leave a hilum, forks of each, points along each, and their distance [mm]."""
_WIDTHS = (0.7, 1.3, 2.3)
"""Standard deviations that branches are drawn with, thin to thick [mm]."""
_FULL = 3.2
"""Depth of a vessel over its width: what crosses the plane is not drawn one by one."""


@dataclass(frozen=True)
class Vessels:
    """Hold points of vessels of both lungs.

    Attributes:
        points: x and y [mm] by side, `(N, 2)`.
        widths: Radius at each point [mm] by side, `(N,)`.
    """

    points: dict[int, NDArray[np.float64]]
    widths: dict[int, NDArray[np.float64]]

    def seen(self, plane: FilmPlane, side: int) -> Array:
        """Return the thickness of vessels on a side [mm], `(H, W)`."""
        total = plane.empty()
        places, widths = self.points[side], self.widths[side]
        bounds = (0.0, 1.0, 1.8, np.inf)
        for spread, low, high in zip(_WIDTHS, bounds[:-1], bounds[1:], strict=True):
            chosen = (widths >= low) & (widths < high)
            heights = _FULL * widths[chosen] * _STEP / (np.sqrt(2 * np.pi) * spread)
            total += plane.dust(places[chosen], heights, spread)
        return total


def draw_vessels(rng: Generator, chest: Chest) -> Vessels:
    """Draw the vessels of a patient."""
    points, widths = {}, {}
    for side in SIDES:
        root = np.array([chest.mediastinum(side, np.array([chest.hilum], np.float32))[0] + 4, chest.hilum])
        angles = np.linspace(-1.35, 1.25, _BRANCHES) + rng.normal(0, 0.12, _BRANCHES)
        starts = root + np.stack([rng.uniform(-3, 9, _BRANCHES), np.linspace(-14, 18, _BRANCHES)], axis=1)
        trunk, width = _grown(rng, starts, angles, rng.uniform(2.6, 4.0, _BRANCHES))
        rows = rng.integers(12, 70, (_FORKS, _BRANCHES))
        forks = np.stack([trunk[row, np.arange(_BRANCHES)] for row in rows]).reshape(-1, 2)
        aside = rng.choice((-1, 1), len(forks)) * rng.uniform(0.35, 0.8, len(forks))
        thin = 0.7 * np.stack([width[row, np.arange(_BRANCHES)] for row in rows]).ravel()
        twigs, finer = _grown(rng, forks, np.tile(angles, _FORKS) + aside, thin)
        places = np.concatenate([trunk.reshape(-1, 2), twigs.reshape(-1, 2)])
        points[side] = places * (side, 1)
        widths[side] = np.concatenate([width.ravel(), finer.ravel()])
    return Vessels(points, widths)


def _grown(
    rng: Generator, starts: NDArray[np.float64], angles: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lines that wander from starts, x outwards, `(steps, N, 2)`, and the radius along each `(steps, N)`."""
    bend = np.cumsum(rng.normal(0, 0.035, (_STEPS, len(angles))), axis=0)
    heading = angles + bend
    moves = _STEP * np.stack([np.cos(heading), np.sin(heading)], axis=2)
    fall = np.exp(-np.arange(_STEPS) * _STEP / 75)[:, None]
    return starts + np.cumsum(moves, axis=0), radii * fall
