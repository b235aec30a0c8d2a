"""One simulated scan of a liver, in memory."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.simulate.bodies.anatomy import Anatomy, body_grid, draw_build
from scanweave.simulate.bodies.painting import ORGANS as BODY_ORGANS
from scanweave.simulate.bodies.painting import paint_body
from scanweave.simulate.bodies.sites import SITES
from scanweave.simulate.fields import Grid
from scanweave.simulate.pairs import name_at
from scanweave.simulate.subject import Subject
from scanweave.simulate.tumours.growth import Growth, draw_growths, paint_growth
from scanweave.simulate.tumours.settings import TumoursSettings

SCAN, MASKS = "ct", ("organs", "tumours")
ORGANS = ("liver",)
"""In the order of their numbers in the mask `organs`, from 1."""
_MARGIN = 12.0
"""What is kept around the liver [mm]."""
_ROOM = 3.0
"""Least distance between two tumours, and from the border of the liver where there is so much room [mm]."""


class _Stream(IntEnum):
    """Independent sources of randomness of a scan: what one draws does not move another."""

    BUILD, GROWTHS, SEATS, SHAPE, TEXTURE, SITE, NOISE, NESTS, LOOKED = range(9)


def simulate_tumour_scan(seed: int, index: int, settings: TumoursSettings | None = None) -> Subject:
    """Simulate one scan of a liver and what lies around it, blurred and noisy after all is painted.

    The scan `ct` is in HU, int16; masks are `organs` (1 liver, with what grows in it) and `tumours` (1, 2 … each).

    Args:
        seed: Seed of the cohort.
        index: Number of the subject in it, from 0.
        settings: What to simulate; the defaults when left out.
    """
    settings = settings or TumoursSettings.model_validate({})

    def rng(stream: _Stream) -> Generator:
        return np.random.default_rng((seed, index, stream))

    growths = draw_growths(
        rng(_Stream.GROWTHS), settings.tumours, settings.most, settings.diameter, settings.contrast, settings.cysts
    )
    which, agent = rng(_Stream.SITE).random(2)
    name = name_at(settings.sites, which)
    site, grid = SITES[name], body_grid(settings.spacing)
    contrast = bool(agent < site.contrast)
    build = draw_build(rng(_Stream.BUILD))
    anatomy = Anatomy.on_grid(rng(_Stream.SHAPE), build, grid)
    body = paint_body(rng(_Stream.TEXTURE), grid, anatomy, [], contrast=contrast)
    liver = body.organs == BODY_ORGANS.index("liver") + 1
    masks, told = _grown(rng(_Stream.SEATS), rng(_Stream.NESTS), growths, grid, liver, body.attenuation)
    scan = site.scanned(rng(_Stream.NOISE), body.attenuation, settings.spacing, settings.noise)
    looked = bool(masks.any()) or bool(rng(_Stream.LOOKED).random() >= settings.unlabelled)
    box = _box(liver, settings.spacing)
    affine = grid.affine
    affine[:3, 3] += affine[:3, :3] @ np.array([side.start for side in box])
    return Subject(
        scans={SCAN: np.ascontiguousarray(scan[box])},
        times={},
        b_values={},
        masks={
            "organs": np.ascontiguousarray(liver[box].astype(np.uint8)),
            "tumours": np.ascontiguousarray(masks[box]),
        },
        affine=affine,
        absent=(),
        truth={"site": name, "contrast": int(contrast), "looked": looked, "growths": told, "build": build.facts()},
    )


def _grown(
    seats: Generator,
    nests: Generator,
    growths: list[Growth],
    grid: Grid,
    liver: NDArray[np.bool_],
    attenuation: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], list[dict[str, object]]]:
    """Paint all growths, the largest first, each where there is room, and return the mask of tumours and what is known.

    One for which there is no room is left out.
    """
    masks, told = np.zeros(grid.shape, np.uint8), list[dict[str, object]]()
    depth = ndimage.distance_transform_edt(liver) * np.float32(grid.spacing)
    free = np.asarray(depth, np.float32)
    origin = grid.affine[:3, 3]
    for one in sorted(growths, key=lambda one: -one.diameter):
        own = np.random.default_rng(seats.integers(2**63)), np.random.default_rng(nests.integers(2**63))
        wish = min(one.diameter / 2 + _ROOM, 0.9 * float(depth.max()))
        places = np.argwhere(free >= wish)
        if not len(places):
            continue
        voxel = places[int(own[0].random() * len(places))]
        centre = origin + grid.spacing * voxel
        found = paint_growth(own[1], one, grid, centre, liver, attenuation)
        away = np.sqrt(sum(((axis - c) ** 2 for axis, c in zip(grid.positions(), centre, strict=True))))
        free = np.minimum(free, away - one.diameter / 2 - _ROOM)
        if not one.cyst:
            masks[found] = len([row for row in told if not row["cyst"]]) + 1
        volume = float(found.sum()) * grid.spacing**3 / 1000
        told.append({**one.facts(), "middle_mm": [round(float(c), 1) for c in centre], "volume_ml": round(volume, 3)})
    return masks, told


def _box(liver: NDArray[np.bool_], spacing: float) -> tuple[slice, slice, slice]:
    margin = int(np.ceil(_MARGIN / spacing))
    found = ndimage.find_objects(liver.astype(np.uint8))[0]
    x, y, z = (
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size in zip(found, liver.shape, strict=True)
    )
    return x, y, z
