"""A chest as line integrals of attenuation: the thickness of each tissue along a ray times what it absorbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.fields import Array, share_inside
from scanweave.simulate.films.chest import SIDES, Chest
from scanweave.simulate.films.findings import Effusion, Findings, Nodule, Pneumothorax
from scanweave.simulate.films.plane import FilmPlane
from scanweave.simulate.films.skeleton import fracture_place, skeleton
from scanweave.simulate.films.vessels import draw_vessels

Mask = NDArray[np.bool_]
SOFT, LUNG = 0.019, 0.0055
"""Attenuation of soft tissue and of aerated lung [1/mm], at about 60 keV."""
NEAR = 11.0
"""Radius around the gap of a broken rib that its mask covers [mm]."""
_FREE = 0.75
"""Share of a ray through free pleural air that it fills: lung lies before and behind it."""
_PLEURA = 0.05
"""Line integral of the edge of a collapsed lung, which the rays touch."""
_MENISCUS = 7.0
"""Softness of the upper border of fluid, which is a wedge seen from the front [mm]."""


@dataclass(frozen=True)
class Shadow:
    """Hold what a chest absorbs.

    Attributes:
        attenuation: Line integral of attenuation, `(H, W)`.
        masks: Mask `(H, W)` of each finding that is there.
    """

    attenuation: Array
    masks: dict[str, Mask]


def shadow(rng: Generator, chest: Chest, plane: FilmPlane, findings: Findings) -> Shadow:
    """Return what a chest with findings absorbs.

    Args:
        rng: The source of vessels and texture; it draws the same, whatever is found.
        chest: The anatomy.
        plane: The pixels.
        findings: What is found.
    """
    x, y, spacing = plane.x, plane.y, plane.spacing
    vessels = draw_vessels(rng, chest)
    radius = chest.heart_radius(findings.ratio(chest), x, y)
    heart = 105 * np.sqrt(np.clip(1 - radius, 0, None))
    body = _body(chest, plane)
    total = SOFT * body + 0.03 * plane.smooth_field(rng, 45.0) + 0.012 * plane.smooth_field(rng, 9.0)
    masks: dict[str, Mask] = {}
    for side in SIDES:
        outline = chest.lung(side, x, y, spacing / 4)
        lung = np.clip(_lung_depth(chest, side, plane) - heart, 0, None) * outline
        flesh = vessels.seen(plane, side)
        dense = np.full_like(lung, LUNG)
        air, fluid = findings.pneumothorax, findings.effusion
        if air and air.side == side:
            kept = _kept(chest, air, plane)
            dense += LUNG * kept * 0.5 * (1 - air.shrunk) - LUNG * _FREE * (1 - kept)
            flesh = flesh * kept
            total += _PLEURA * 4 * kept * (1 - kept) * outline
            masks["pneumothorax"] = (outline > 0.5) & (kept < 0.5)
        if fluid and fluid.side == side:
            filled = _filled(chest, fluid, plane)
            dense += (SOFT - dense) * filled * fluid.density
            flesh = flesh * (1 - filled)
            masks["effusion"] = (outline > 0.5) & (filled > 0.5)
        total += (dense - SOFT) * lung + SOFT * flesh * outline * (lung > 0)
    total += skeleton(chest, plane, findings.fracture) * (body > 0) - _airway(chest, plane)
    if findings.nodule:
        seen, masks["nodule"] = nodule_shadow(findings.nodule, plane)
        total += seen
    if findings.fracture:
        across, down = fracture_place(chest, findings.fracture)
        masks["fracture"] = (x - across) ** 2 + (y - down) ** 2 < NEAR**2
    if findings.cardiomegaly:
        masks["cardiomegaly"] = radius < 1
    return Shadow(np.asarray(np.clip(total, 0, None), np.float32), masks)


def nodule_shadow(nodule: Nodule, plane: FilmPlane) -> tuple[Array, Mask]:
    """Return what a nodule absorbs beyond the lung that it replaces, and its mask, both `(H, W)`."""
    distance = np.hypot(plane.x - nodule.x, plane.y - nodule.y)
    chord = 2 * np.sqrt(np.clip(nodule.radius**2 - distance**2, 0, None))
    seen = (SOFT - LUNG) * nodule.density * chord
    return np.asarray(seen, np.float32), np.asarray(distance < nodule.radius)


def _body(chest: Chest, plane: FilmPlane) -> Array:
    """Return the thickness of the body [mm], air outside of it 0."""
    x, y = np.abs(plane.x), plane.y
    shoulder = chest.clavicle[0] - 34 + 0.24 * (x - 60) - 1.3 * np.clip(104 - x, 0, None) ** 1.25
    rise = np.clip((y - shoulder) / 70, 0, 1)
    side = chest.half_width + 46 - 0.05 * (y - chest.angle) + 200 * share_inside(chest.clavicle[0] + 40 - y, 12.0)
    round_ = np.sqrt(np.clip(1 - np.clip(x / side, 0, 1) ** 5, 0, None)) * np.sqrt(rise)
    disc = ((x - 72) / 62) ** 2 + ((y - chest.domes[0] + 30) / 56) ** 2
    breast = chest.breast * np.clip(1 - disc, 0, None) ** 0.8
    neck = 0.58 + 0.42 * share_inside(y - chest.apex, 14.0)
    belly = 1 + 0.1 * share_inside(y - chest.angle, 30.0)
    return np.asarray(chest.depth[0] * neck * belly * round_ + breast, np.float32)


def _lung_depth(chest: Chest, side: int, plane: FilmPlane) -> Array:
    """Return how much lung a ray crosses [mm], as if there were no heart."""
    out, y = side * plane.x, plane.y
    wide = np.sqrt(np.clip(1 - (out / chest.wall(y)) ** 2, 0, 1))
    beside = np.clip((out - chest.mediastinum(side, y)) / 30, 0, 1) ** 0.5
    down = 0.5 + 0.5 * np.clip((y - chest.apex) / 80, 0, 1)
    return np.asarray(chest.depth[1] * wide**0.8 * (0.6 + 0.4 * beside) * down, np.float32)


def _airway(chest: Chest, plane: FilmPlane) -> Array:
    """Return what air in the trachea, the main bronchi and the stomach takes from attenuation."""
    across, half, carina = chest.trachea
    inside = np.sqrt(np.clip(1 - ((plane.x - across) / half) ** 2, 0, None)) * share_inside(carina - plane.y, 3.0)
    dark = SOFT * 1.6 * half * inside
    for side, fall in ((-1, 0.9), (1, 0.7)):
        line = np.array([[across, carina - 2], [across + side * 32, carina + 32 * fall]])
        window, distance = plane.line_distance(line, half)
        dark[window] = np.maximum(dark[window], SOFT * 1.2 * np.sqrt(np.clip((0.7 * half) ** 2 - distance**2, 0, None)))
    if chest.stomach:
        x, y = (plane.x - 0.5 * chest.half_width) / 1.5, plane.y - chest.domes[1] - chest.stomach - 9
        dark += SOFT * 1.2 * np.sqrt(np.clip(chest.stomach**2 - x**2 - y**2, 0, None))
    return np.asarray(dark, np.float32)


def _kept(chest: Chest, air: Pneumothorax, plane: FilmPlane) -> Array:
    """Return the share of pixels that the collapsed lung covers: drawn to the hilum from apex and wall."""
    root, side = chest.mediastinum(air.side, np.array([chest.hilum], np.float32))[0], air.side
    out, down = side * plane.x - root, plane.y - chest.hilum
    x = side * (root + np.where(out > 0, out / air.shrunk, out))
    y = chest.hilum + np.where(down < 0, down / air.shrunk, down)
    return chest.lung(side, np.asarray(x, np.float32), np.asarray(y, np.float32), 0.5)


def _filled(chest: Chest, fluid: Effusion, plane: FilmPlane) -> Array:
    """Return the share of the pleural space that fluid fills: its border rises to the wall, as a meniscus does."""
    out = np.clip(fluid.side * plane.x / chest.wall(plane.y), 0, 1)
    border = chest.angle - fluid.height * (0.45 + 0.55 * out**3)
    return share_inside(np.asarray(plane.y - border, np.float32), _MENISCUS / 2)
