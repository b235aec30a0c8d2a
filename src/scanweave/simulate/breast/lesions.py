"""Lesions put into a healthy breast: where they lie, and the shape of their border."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.breast.anatomy import BreastAnatomy
from scanweave.simulate.breast.shape import LATERAL, Shape
from scanweave.simulate.breast.traits import Traits
from scanweave.simulate.fields import Array, field_at, share_inside

Place = NDArray[np.float64]

_ROOM = 3.0
"""Least distance of a lesion from skin, muscle, another lesion and the edge of the scan [mm]."""
_TRIES, _SHRINK = 300, 0.99
"""Places that are tried, and what is left of the room that is asked for at each."""
_BORDERS = {"smooth": (0.04, 0.0), "irregular": (0.20, 0.0), "spiculated": (0.10, 0.32)}
"""Height of the lumps and of the spicules of a border, relative to the radius (in log units)."""
_LUMP, _SPICULE, _SPICULE_FROM = 0.5, 0.2, 0.9
"""Scales of lumps and spicules on a sphere of radius 1, and the height of their field from which there is a spicule."""
_SAMPLED = 2000
"""Directions by which the volume inside a border is measured."""


def add_lesions(
    rng: Generator, anatomy: BreastAnatomy, lesions: Sequence[Traits], field: tuple[float, float, float]
) -> tuple[Array, list[dict[str, Any]]]:
    """Put lesions into a healthy body.

    Args:
        rng: The source of randomness.
        anatomy: The body.
        lesions: What they are.
        field: What the scan covers of each breast [mm].

    Returns:
        The share of each of `TISSUES`, then of each lesion, in a voxel, `(6 + L, N)`, and where each lesion lies.
    """
    fractions = np.concatenate([anatomy.fractions, np.zeros((len(lesions), anatomy.behind.size), np.float32)])
    taken: list[tuple[Place, float]] = []
    for number, lesion in enumerate(lesions, start=len(anatomy.fractions)):
        centre = _seat(rng, anatomy.shape, lesion.diameter / 2, taken, field)
        taken.append((centre, lesion.diameter / 2))
        share = _share(rng, anatomy, centre, lesion)
        fractions[number] = share * fractions[:number].sum(axis=0)
        fractions[:number] *= 1 - share
    return fractions, [
        {
            "side": "right" if centre[0] > 0 else "left",
            "centre_before_deformation_mm": [round(float(x), 1) for x in centre],
        }
        for centre, _ in taken
    ]


def first_seat(rng: Generator, shape: Shape, diameter: float, field: tuple[float, float, float]) -> Place:
    """Return where `add_lesions` puts the first lesion, RAS mm before deformation, `(3,)`.

    Args:
        rng: The source of randomness that `add_lesions` is given, anew.
        shape: The body before deformation.
        diameter: Of the lesion [mm].
        field: What the scan covers of each breast [mm].
    """
    return _seat(rng, shape, diameter / 2, [], field)


def label_lesions(fractions: Array, healthy: int) -> NDArray[np.uint8]:
    """Return the number of the lesion, from 1, that fills more than half of a voxel, else 0; `(N,)`.

    Args:
        fractions: Shares of all tissues, `(K, N)`.
        healthy: How many of these are healthy.
    """
    lesions = fractions[healthy:]
    if not len(lesions):
        return np.zeros(fractions.shape[1], np.uint8)
    return np.asarray(np.where(lesions.max(axis=0) > 0.5, lesions.argmax(axis=0) + 1, 0), np.uint8)


def _seat(
    rng: Generator, shape: Shape, radius: float, taken: list[tuple[Place, float]], field: tuple[float, float, float]
) -> Place:
    """Draw a place for a lesion where most glandular tissue is; the room around it gives way if there is too little."""
    wish, best = radius + _ROOM, np.empty(3)
    sides = rng.integers(len(shape.sides), size=_TRIES)
    across, turn = 0.75 * np.sqrt(rng.random(_TRIES)), rng.uniform(0, 2 * np.pi, _TRIES)
    height = rng.uniform(0.2, 0.85, _TRIES)
    for attempt in range(_TRIES):
        wide = across[attempt] * np.sqrt(1 - height[attempt])
        way = np.array([wide * np.cos(turn[attempt]), height[attempt], wide * np.sin(turn[attempt])])
        best = way * shape.half + [shape.sides[sides[attempt]] * LATERAL, 0, -height[attempt] * shape.sag]
        room = _room(shape, best, taken, field)
        if room >= wish * _SHRINK**attempt:
            break
    return best


def _room(shape: Shape, place: Place, taken: list[tuple[Place, float]], field: tuple[float, float, float]) -> float:
    """Return the distance of a place from skin, muscle, lesions and the ends of the scan [mm]."""
    point = place.astype(np.float32)
    sides = [float(shape.depth(point)) - shape.skin, -float(shape.behind(point)), field[2] / 2 - abs(float(place[2]))]
    return min(sides + [float(np.linalg.norm(place - other)) - radius for other, radius in taken])


def _share(rng: Generator, anatomy: BreastAnatomy, centre: Place, lesion: Traits) -> Array:
    """Draw the share of each voxel that a lesion fills, `(N,)`."""
    lumps, spicules = _BORDERS[lesion.border]
    stretch = np.exp(rng.normal(0, 0.12, 3))
    stretch = (stretch / np.cbrt(stretch.prod())).astype(np.float32)
    offset = (anatomy.places - centre.astype(np.float32)[:, None]) * stretch[:, None]
    distance = np.sqrt((offset**2).sum(axis=0))
    near = np.flatnonzero(distance < 1.5 * lesion.diameter)
    ways = np.concatenate([_directions(), offset[:, near] / (distance[near] + np.float32(1e-3))], axis=1)
    coarse, fine = (field_at(rng, ways, -1.0, 1.0, scale) for scale in (_LUMP, _SPICULE))
    height = lumps * coarse + spicules * np.clip(fine - np.float32(_SPICULE_FROM), 0, None)
    border = np.exp(np.clip(height, -0.7, 0.9))
    border *= np.float32(lesion.diameter / 2 / np.cbrt((border[:_SAMPLED] ** 3).mean()))
    share = np.zeros(distance.size, np.float32)
    share[near] = share_inside(border[_SAMPLED:] - distance[near], anatomy.softness)
    return share


@lru_cache(maxsize=1)
def _directions() -> Array:
    """Return directions spread evenly over the sphere, `(3, _SAMPLED)`, by which a border is given its volume."""
    number = np.arange(_SAMPLED) + 0.5
    height, turn = 1 - 2 * number / _SAMPLED, np.pi * (1 + np.sqrt(5)) * number
    flat = np.sqrt(1 - height**2)
    return np.asarray([flat * np.cos(turn), flat * np.sin(turn), height], np.float32)
