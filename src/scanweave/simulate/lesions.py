"""Lesions like gliomas: a necrotic core, a rim that may enhance, and oedema along the white matter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.anatomy import HEALTHY, Anatomy, load_template
from scanweave.simulate.fields import Array, share_inside, smooth_field
from scanweave.simulate.settings import BrainSettings

LESION = ("core", "rim", "oedema")
TISSUES = (*HEALTHY, *LESION)
_SOFTNESS = 0.7
"""Width of the border between two parts of a lesion [mm]."""


def add_lesions(rng: Generator, anatomy: Anatomy, settings: BrainSettings) -> tuple[Array, list[dict[str, Any]]]:
    """Put lesions, or none, into a healthy brain.

    Returns:
        The share of each of `TISSUES` in a voxel, `(6, N)`, summing to 1, and what was drawn for each lesion.
    """
    fractions = np.zeros((len(TISSUES), anatomy.depth.size), np.float32)
    fractions[: len(HEALTHY)] = anatomy.fractions
    if rng.random() >= settings.lesion_share:
        return fractions, []
    count = 1 + int(rng.random() < settings.second_lesion_share)
    return fractions, [_add(rng, anatomy, fractions, settings) for _ in range(count)]


def label_tissue(healthy: Array) -> NDArray[np.uint8]:
    """Return the largest tissue at each voxel of a healthy brain: 1 CSF, 2 GM, 3 WM; `(N,)`.

    Deep inside a lesion nothing of what was there is left, so that only the fractions before it tell.
    """
    return np.asarray(healthy.argmax(axis=0) + 1, np.uint8)


def label_lesion(fractions: Array) -> NDArray[np.uint8]:
    """Return 1 core, 2 rim, 3 oedema where a lesion fills more than half of a voxel, else 0; `(N,)`."""
    parts = fractions[len(HEALTHY) :]
    return np.asarray(np.where(parts.sum(axis=0) > 0.5, parts.argmax(axis=0) + 1, 0), np.uint8)


def _add(rng: Generator, anatomy: Anatomy, fractions: Array, settings: BrainSettings) -> dict[str, Any]:
    """Put one lesion into `fractions` in place."""
    seats = load_template().seats
    centre = seats[rng.integers(len(seats))]
    core = float(np.clip(rng.lognormal(np.log(8.0), 0.4), 3.0, 18.0))
    rim = float(rng.uniform(3.0, 6.0))
    oedema = core + rim + float(np.clip(rng.lognormal(np.log(10.0), 0.45), 3.0, 24.0))
    enhancing = bool(rng.random() < settings.enhancing_share)
    shapes = [smooth_field(rng, anatomy.grid, scale) for scale in (14.0, 9.0, 16.0, 9.0)]
    stretch = np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)[:, None]

    offset = (anatomy.places - centre.astype(np.float32)[:, None]) * stretch
    distance = np.sqrt((offset**2).sum(axis=0))
    near = np.flatnonzero(distance < 2.2 * oedema)
    distance = distance[near]
    lumps, wrinkles, spread, patches = (shape[anatomy.mask][near] for shape in shapes)
    radius = distance * np.exp(0.18 * lumps)
    healthy = anatomy.fractions[:, near]
    way = np.clip(healthy[2] + 0.3 * healthy[1], 0, 1)
    inner = share_inside(core - radius * np.exp(0.10 * wrinkles), _SOFTNESS)
    tumour = np.maximum(share_inside(core + rim - radius, _SOFTNESS), inner)
    swollen = np.maximum(
        share_inside(oedema - distance * np.exp(0.22 * spread + 0.10 * patches), _SOFTNESS) * way, tumour
    )
    taking_up = share_inside(3.0 * (patches + 0.9), _SOFTNESS) if enhancing else np.zeros_like(inner)
    parts = np.stack([inner, (tumour - inner) * taking_up, swollen - inner - (tumour - inner) * taking_up])
    fractions[:, near] *= 1 - swollen
    fractions[len(HEALTHY) :, near] += parts
    return {
        "centre_in_template_mm": [round(float(value), 1) for value in centre],
        "core_radius_mm": round(core, 1),
        "rim_mm": round(rim, 1),
        "oedema_radius_mm": round(oedema, 1),
        "enhancing": enhancing,
    }
