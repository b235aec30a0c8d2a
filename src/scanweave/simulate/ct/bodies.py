"""Random textured bodies: organs, bones, air, vessels with iodine and inserts with gadolinium, from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from pydantic import BaseModel, ConfigDict, Field

from scanweave.simulate.ct.ellipses import Array, Ellipse, paint
from scanweave.simulate.ct.maps import MaterialMap, contents
from scanweave.simulate.ct.plane import Plane

_COARSE, _FINE = 1 / 10, 1 / 32
"""Scales of the texture, in fields of view."""
_WARP_SCALE = 1 / 5
_AGENTS = ("iodine", "gadolinium")
_CLIP = 2.5
"""Standard deviations at which the texture is cut, so that densities stay bounded."""


class BodySettings(BaseModel):
    """Settings of a random body, apart from its seed. Sizes are in fields of view, so that it fits any scanner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organs: int = Field(8, ge=0, le=40, description="Largest number of organs; at least half of them are drawn.")
    bones: int = Field(3, ge=0, le=20, description="Largest number of bones.")
    cavities: int = Field(2, ge=0, le=10, description="Largest number of lung-like or air-filled cavities.")
    vessels: int = Field(8, ge=0, le=40, description="Largest number of vessels with iodine.")
    inserts: int = Field(3, ge=0, le=20, description="Largest number of inserts with gadolinium; at least one.")
    iodine: tuple[float, float] = Field((2.0, 15.0), description="Concentration in vessels [mg/mL].")
    gadolinium: tuple[float, float] = Field((1.0, 8.0), description="Concentration in inserts [mg/mL].")
    texture: float = Field(0.02, ge=0, le=0.1, description="Relative spread of density within a tissue; 0 for none.")
    uptake: float = Field(0.15, ge=0, le=0.35, description="Relative spread of concentration within a vessel.")
    warp: float = Field(0.012, ge=0, le=0.04, description="Spread of the deformation of all shapes; 0 for ellipses.")


def draw_body(
    rng: Generator, size: int, field_of_view: float, settings: BodySettings | None = None, *, supersampling: int = 1
) -> MaterialMap:
    """Draw a body; one state of the generator gives one body at every size and supersampling.

    Args:
        rng: The source of randomness.
        size: Pixels along each side after coarsening.
        field_of_view: Side of the image [mm]; the body fills most of it.
        settings: What to draw; the defaults when left out.
        supersampling: Each pixel is split into this many along each axis; `.coarsened(supersampling)` gives the truth.
    """
    settings = settings or BodySettings()
    plane = Plane.square(size, field_of_view).finer(supersampling)
    ellipses = _draw_ellipses(rng, field_of_view, settings)
    drawn = paint(plane, ellipses, _deformed(rng, plane, settings.warp))
    for number, name in enumerate(drawn.materials):
        agent = name in _AGENTS
        drawn.densities[number] *= _texture(rng, plane, settings.uptake if agent else settings.texture)
    return drawn


def _deformed(rng: Generator, plane: Plane, warp: float) -> tuple[Array, Array]:
    x, y = plane.positions()
    shifts = [np.float32(warp * plane.width) * plane.smooth_field(rng, _WARP_SCALE * plane.width) for _ in range(2)]
    return x + shifts[0], y + shifts[1]


def _texture(rng: Generator, plane: Plane, spread: float) -> Array:
    coarse, fine = (plane.smooth_field(rng, scale * plane.width) for scale in (_COARSE, _FINE))
    field = np.float32(np.sqrt(0.5)) * (coarse + fine)
    return np.asarray(1 + np.float32(spread) * np.clip(field, -_CLIP, _CLIP), np.float32)


def _draw_ellipses(rng: Generator, field_of_view: float, settings: BodySettings) -> list[Ellipse]:
    half = field_of_view / 2
    a = half * rng.uniform(0.74, 0.9)
    b = a * rng.uniform(0.72, 1.0)
    skin = Ellipse(0, 0, a, b, contents({"adipose": 1.0}), rng.uniform(-15, 15))
    depth = rng.uniform(0.86, 0.96)
    wall = Ellipse(0, 0, depth * a, depth * b, contents({"soft_tissue": 1.0}), skin.angle)
    kinds: list[tuple[Callable[[Generator, Ellipse, BodySettings], list[Ellipse]], int, int]] = [
        (_organ, (settings.organs + 1) // 2, settings.organs),
        (_cavity, 0, settings.cavities),
        (_bone, min(1, settings.bones), settings.bones),
        (_vessel, (settings.vessels + 1) // 2, settings.vessels),
        (_insert, min(1, settings.inserts), settings.inserts),
    ]
    drawn = [skin, wall]
    for draw, least, most in kinds:
        for _ in range(rng.integers(least, most + 1)):
            drawn += draw(rng, wall, settings)
    return drawn


def _within(rng: Generator, wall: Ellipse, low: float, high: float, filled: dict[str, float]) -> Ellipse:
    """Draw an ellipse inside the wall; sizes are in its half axis."""
    a = wall.a * rng.uniform(low, high)
    b = a * rng.uniform(0.55, 1.0)
    radius, turn = np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    x = radius * np.cos(turn) * max(wall.a - 1.15 * a, 0)
    y = radius * np.sin(turn) * max(wall.b - 1.15 * a, 0)
    angle = np.deg2rad(wall.angle)
    turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return Ellipse(float(turned[0]), float(turned[1]), a, b, filled, rng.uniform(0, 180))


def _organ(rng: Generator, wall: Ellipse, _: BodySettings) -> list[Ellipse]:
    tissues = ("soft_tissue", "water", "adipose", "blood")
    shares = rng.dirichlet((1.2, 0.5, 0.4, 0.4)) * rng.uniform(0.97, 1.03)
    return [_within(rng, wall, 0.1, 0.36, contents(dict(zip(tissues, map(float, shares), strict=True))))]


def _cavity(rng: Generator, wall: Ellipse, _: BodySettings) -> list[Ellipse]:
    share = rng.choice([0.0, rng.uniform(0.15, 0.4)], p=[0.3, 0.7])
    return [_within(rng, wall, 0.08, 0.3, contents({"soft_tissue": float(share)}))]


def _bone(rng: Generator, wall: Ellipse, _: BodySettings) -> list[Ellipse]:
    shell = _within(rng, wall, 0.06, 0.16, contents({"bone": float(rng.uniform(0.75, 1.0))}))
    share, inner = float(rng.uniform(0.08, 0.3)), rng.uniform(0.6, 0.85)
    marrow = contents({"bone": share, "adipose": 0.6 * (1 - share), "soft_tissue": 0.4 * (1 - share)})
    return [shell, Ellipse(shell.x, shell.y, inner * shell.a, inner * shell.b, marrow, shell.angle)]


def _vessel(rng: Generator, wall: Ellipse, settings: BodySettings) -> list[Ellipse]:
    return [_within(rng, wall, 0.02, 0.07, contents({"blood": 1.0}, iodine=float(rng.uniform(*settings.iodine))))]


def _insert(rng: Generator, wall: Ellipse, settings: BodySettings) -> list[Ellipse]:
    tissue = "soft_tissue" if rng.uniform() < 0.5 else "water"
    filled = contents({tissue: 1.0}, gadolinium=float(rng.uniform(*settings.gadolinium)))
    return [_within(rng, wall, 0.05, 0.12, filled)]
