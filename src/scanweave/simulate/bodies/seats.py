"""Places of findings in a body, chosen before deformation: so they do not depend on voxels."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scanweave.simulate.bodies.anatomy import GRID_LOW, GRID_SIZE, KIDNEY_AXES, KIDNEYS, SIGN, Anatomy, Build, usual
from scanweave.simulate.bodies.findings import Finding
from scanweave.simulate.fields import Array

_TRIES = 20_000
"""Places that are tried for each; a lobe fills a few percent of the box."""
_ROOM = 2.0
"""Least distance from the border of the organ and from another finding [mm]."""


def seated(rng: Generator, build: Build, findings: list[Finding]) -> list[Finding]:
    """Return findings with their places, RAS mm in a cavity of usual size; what has none is left as it is."""
    found: list[Finding] = []
    for one in findings:
        own = np.random.default_rng(rng.integers(2**63))
        if one.name in ("nodule", "consolidation", "liver_lesion"):
            found.append(one.at(_inside(own, build, one, found)))
        elif one.name == "kidney_cyst":
            found.append(one.at(_beside_kidney(own, build, one)))
        else:
            found.append(one)
    return found


def _inside(rng: Generator, build: Build, one: Finding, others: list[Finding]) -> Array:
    """Return a place in the organ with room around it; where there is too little, the one with the most."""
    low, size = np.array(GRID_LOW), np.array(GRID_SIZE)
    tried = usual(build, (low[:, None] + size[:, None] * rng.random((3, _TRIES))).astype(np.float32))
    anatomy = Anatomy(build, tried)
    if one.name == "liver_lesion":
        depth = np.minimum(anatomy.liver, -anatomy.over_liver)
    else:
        depth = np.minimum(anatomy.lobe(one.half, one.lobe), -anatomy.over_lungs)
    for other in others:
        if other.name == "effusion" and other.side == one.side:
            depth = np.minimum(depth, -anatomy.fluid(other.size))
    wish = one.size / 2 + _ROOM if one.name != "consolidation" else _ROOM
    room = np.minimum(depth, wish)
    for other in others:
        if other.centre is not None:
            away = anatomy.sphere(other.centre) - (other.size + one.size) / 2
            room = np.minimum(room, away)
    return np.asarray(tried[:, int(np.argmax(room >= wish))] if (room >= wish).any() else tried[:, int(room.argmax())])


def _beside_kidney(rng: Generator, build: Build, one: Finding) -> Array:
    """Return a place near the outer border of a kidney."""
    turn, height = rng.uniform(-0.4, 0.4) * np.pi, rng.uniform(-0.6, 0.6)
    way = np.array([SIGN[one.half] * np.cos(turn), np.sin(turn), height])
    way /= np.linalg.norm(way)
    axes = np.array(KIDNEY_AXES) * build.factors["kidney"]
    reach = 1 / np.linalg.norm(way / axes)
    return np.asarray(np.array(KIDNEYS[one.half]) + way * reach * 0.9, np.float32)
