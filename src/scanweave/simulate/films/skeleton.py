"""Bones as line integrals of attenuation beyond that of soft tissue: ribs, clavicles, spine, shoulders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.simulate.fields import Array, share_inside
from scanweave.simulate.films.chest import SIDES, Chest
from scanweave.simulate.films.findings import Fracture
from scanweave.simulate.films.plane import FilmPlane, curve

RIBS = 9
"""Ribs that are drawn on each side: those below hardly show through the abdomen."""
CORTEX, MARROW = 0.05, 0.009
"""Attenuation of compact and of spongy bone beyond that of soft tissue [1/mm], about that at 60 keV; chosen so that
ribs stand out as they do in films."""
_RIB, _SHELL = 5.0, 1.1
"""Outer radius of a rib and thickness of its shell [mm]."""
_FRONT = 0.5
"""Attenuation of a rib's front arc over that of its back one: it is thinner and farther from the detector."""


def skeleton(chest: Chest, plane: FilmPlane, fracture: Fracture | None) -> Array:
    """Return line integrals of attenuation of all bones, `(H, W)`."""
    bones = _spine(chest, plane)
    for side in SIDES:
        for number in range(RIBS):
            back = chest.rib(number, side, front=False)
            broken = fracture is not None and (fracture.side, fracture.rib) == (side, number)
            for piece in broken_line(back, fracture) if broken and fracture else [back]:
                _add_tube(bones, plane, piece, _RIB, 1.0)
            if 1 <= number < RIBS - 1:
                _add_tube(bones, plane, chest.rib(number, side, front=True), _RIB, _FRONT)
        _add_tube(bones, plane, clavicle(chest, side), 6.5, 0.9)
        bones += _shoulder(chest, plane, side)
    return bones


def clavicle(chest: Chest, side: int) -> NDArray[np.float64]:
    """Return the middle line of a clavicle, x and y [mm], `(N, 2)`."""
    low, rise = chest.clavicle
    points = np.array([[13.0, 0.0], [40.0, -2.0], [75.0, -0.75 * rise], [112.0, -0.8 * rise], [150.0, -rise]])
    return curve(points * (side, 1) + (0, low), 10)


def broken_line(line: NDArray[np.float64], fracture: Fracture) -> list[NDArray[np.float64]]:
    """Return the two pieces of a broken rib, the outer one moved across by the step and along by the gap."""
    fine = curve(line, 24)
    cut = round(fracture.share * 24)
    along = fine[cut + 1] - fine[cut - 1]
    along /= np.linalg.norm(along)
    across = np.array([-along[1], along[0]]) * fracture.side
    rest = np.linspace(1, 0.3, 25 - cut)[:, None]
    moved = fine[cut:] + fracture.gap * along + fracture.step * across * rest
    return [fine[: cut + 1], moved]


def fracture_place(chest: Chest, fracture: Fracture) -> NDArray[np.float64]:
    """Return the middle of the gap of a broken rib, x and y [mm]."""
    inner, outer = broken_line(chest.rib(fracture.rib, fracture.side, front=False), fracture)
    return np.asarray((inner[-1] + outer[0]) / 2)


def _add_tube(bones: Array, plane: FilmPlane, line: NDArray[np.float64], radius: float, factor: float) -> None:
    """Add a bone along a line: a compact shell around a spongy core."""
    window, distance = plane.line_distance(line, radius + plane.spacing)
    bones[window] += factor * tube(distance, radius, _SHELL, plane.spacing)


def tube(distance: Array, radius: float, shell: float, spacing: float) -> Array:
    """Return the attenuation of a tube seen from the side, by distance from its middle line [mm]."""
    outer = 2 * np.sqrt(np.clip(radius**2 - distance**2, 0, None))
    inner = 2 * np.sqrt(np.clip((radius - shell) ** 2 - distance**2, 0, None))
    soft = share_inside(radius - distance, spacing / 4)
    return np.asarray((CORTEX * (outer - inner) + MARROW * inner) * soft, np.float32)


def _spine(chest: Chest, plane: FilmPlane) -> Array:
    """Return the vertebrae: a column of bodies and discs, pedicles and spinous processes."""
    x, y = plane.x, plane.y
    period = chest.ribs[1]
    phase = (y - chest.apex - chest.ribs[0]) / period * 2 * np.pi
    width = 15 + 0.02 * (y - chest.apex) + 1.2 * np.cos(phase)
    body = plane.inside(np.asarray(width - np.abs(x), np.float32))
    discs = share_inside(np.asarray(np.cos(phase) + 0.75, np.float32), 0.08)
    column = body * (0.1 + 0.12 * discs)
    pedicles = np.exp(-(((np.abs(x) - 10) / 3.2) ** 2)) * np.exp(-((np.sin(phase / 2 + 0.9) / 0.22) ** 2))
    spinous = np.exp(-((x / 2.6) ** 2)) * np.exp(-((np.sin(phase / 2) / 0.4) ** 2))
    return np.asarray(column + 0.07 * pedicles + 0.08 * spinous, np.float32)


def _shoulder(chest: Chest, plane: FilmPlane, side: int) -> Array:
    """Return the blade and the head of the arm's bone: outside of the lungs, but over their edge from front to back."""
    out, y = side * plane.x, plane.y
    inwards = 12.0 if chest.view == "AP" else 0.0
    top = chest.clavicle[0] + 8
    edge = chest.half_width - 4 - inwards + 0.16 * (y - top)
    within = np.minimum(out - edge, np.minimum(y - top + 0.3 * (out - edge), top + 118 - y - 1.1 * (out - edge)))
    rim = np.exp(-((within / 2.2) ** 2))
    blade = 0.12 * share_inside(np.asarray(within, np.float32), 0.8) + 0.05 * rim
    head = np.sqrt(np.clip(1 - ((out - 168) / 24) ** 2 - ((y - top - 4) / 25) ** 2, 0, None))
    return np.asarray(blade + 0.55 * head, np.float32)
