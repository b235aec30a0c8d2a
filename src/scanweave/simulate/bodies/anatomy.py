"""Organs of a body as surfaces, by the distance from them, before and after a smooth deformation.

Shapes are ours, drawn to look like CT of the chest and upper abdomen; sizes lie about those of adults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from scanweave.simulate.bodies.findings import Finding, Side
from scanweave.simulate.fields import Array, Grid, smooth_field

Point = tuple[float, float, float]

GRID_LOW, GRID_SIZE = (-205.0, -152.0, -150.0), (410.0, 304.0, 285.0)
"""First voxel and length of the box [mm]: right, front and head are positive, 0 lies under the right half of the
diaphragm, before the spine."""
USUAL_WIDE, USUAL_DEEP = 130.0, 94.0
"""Half axes of the cavity of chest and abdomen for which all places are told [mm]."""
WALL = 16.0
"""Muscle and ribs around it [mm]."""
SIGN: Mapping[Side, int] = {"right": 1, "left": -1}
_WARPS = ((70.0, 3.5), (28.0, 0.8))
"""Lattice distance and spread of the two scales of the deformation [mm]."""
_APEX: Mapping[Side, tuple[Point, Point]] = {
    side: ((sign * 60.0, -5.0, 8.0), (86.0, 122.0, 120.0)) for side, sign in SIGN.items()
}
"""Middle and half axes of what bounds a lung from above."""
_MIDDLE = 13.0
"""Half the distance between the lungs [mm]."""
_DOME: Mapping[Side, float] = {"right": 4.0, "left": -9.0}
"""Height of the diaphragm [mm]."""
PERIRENAL, PERICARDIAL = 5.0, 4.0
"""Fat around kidneys and heart [mm]."""
_FISSURE, _HORIZONTAL = (0.9, 28.0), 52.0
"""Slope and height of the fissure before a lower lobe; height of that under the right upper lobe [mm]."""


@dataclass(frozen=True)
class Build:
    """Hold what is drawn of a patient.

    Attributes:
        wide: Half the width of the cavity [mm].
        deep: Half its depth [mm].
        fat: Under the skin [mm].
        shift: Height of all organs, as by a breath [mm].
        factors: Size of heart, liver, spleen and kidneys against the usual one, without findings.
    """

    wide: float
    deep: float
    fat: float
    shift: float
    factors: Mapping[str, float]

    def enlarged(self, findings: list[Finding]) -> Build:
        """Return the same patient with a large heart or spleen, if that is a finding."""
        organs = {"cardiomegaly": "heart", "splenomegaly": "spleen"}
        more = {organs[one.name]: one.size for one in findings if one.name in organs}
        factors = {name: factor * more.get(name, 1.0) for name, factor in self.factors.items()}
        return Build(self.wide, self.deep, self.fat, self.shift, factors)

    def facts(self) -> dict[str, Any]:
        """Return all of it, for `truth.json`."""
        told = {"half_width_mm": self.wide, "half_depth_mm": self.deep, "fat_mm": self.fat, "shift_mm": self.shift}
        return {name: round(value, 2) for name, value in told.items()} | {
            "factors": {name: round(value, 3) for name, value in self.factors.items()}
        }


def draw_build(rng: Generator) -> Build:
    """Draw a patient."""
    wide, deep, fat, shift = rng.uniform((119, 86, 6, -10), (141, 102, 28, 10))
    factors = dict(zip(("heart", "liver", "spleen", "kidney"), np.exp(rng.normal(0, 0.05, 4)), strict=True))
    return Build(float(wide), float(deep), float(fat), float(shift), {n: float(f) for n, f in factors.items()})


def body_grid(spacing: float) -> Grid:
    """Return the grid of all bodies."""
    return Grid(GRID_LOW, GRID_SIZE, spacing)


class Anatomy:
    """Distances [mm] of places from the borders of organs, positive inside.

    Args:
        build: The patient.
        places: Where, before deformation and in a cavity of usual size, `(3, …)`.
    """

    def __init__(self, build: Build, places: Array) -> None:
        self.build, self.places = build, places
        x, y, z = places
        thinner = (1 + np.float32(0.06) * ((z - 20) / 140) ** 2).astype(np.float32)
        self.inner = rounded(x * thinner, y * thinner, USUAL_WIDE, USUAL_DEEP)
        """From the wall of chest and abdomen; the same outside of it, negative."""
        self.lungs = {side: self._lung(side) for side in SIGN}

    @classmethod
    def on_grid(cls, rng: Generator, build: Build, grid: Grid) -> Anatomy:
        """Return the anatomy at the voxels of a grid, deformed by smooth fields."""
        places = np.empty((3, *grid.shape), np.float32)
        for axis, along in enumerate(grid.positions()):
            places[axis] = along
            for scale, spread in _WARPS:
                places[axis] += np.float32(spread) * smooth_field(rng, grid, scale)
        return cls(build, usual(build, places))

    def ellipsoid(self, centre: Point, axes: Point) -> Array:
        """Return the distance from an ellipsoid, of the first order."""
        around = [(p - np.float32(c)) / np.float32(a) for p, c, a in zip(self.places, centre, axes, strict=True)]
        radius = np.sqrt(sum(part**2 for part in around)) + np.float32(1e-6)
        slope = np.sqrt(sum((part / np.float32(a)) ** 2 for part, a in zip(around, axes, strict=True)))
        return np.asarray((1 - radius) * radius / (slope + np.float32(1e-6)), np.float32)

    def tube(self, centre: tuple[float, float], radius: float, low: float, high: float) -> Array:
        """Return the distance from an upright tube."""
        x, y, z = self.places
        away = np.sqrt((x - np.float32(centre[0])) ** 2 + (y - np.float32(centre[1])) ** 2)
        return np.asarray(np.minimum(radius - away, np.minimum(z - low, high - z)), np.float32)

    def sphere(self, centre: Point) -> Array:
        """Return the distance from a point in a cavity of this patient's size [mm]."""
        sizes = (self.build.wide / USUAL_WIDE, self.build.deep / USUAL_DEEP, 1.0)
        parts = [
            ((p - np.float32(c)) * np.float32(size)) ** 2 for p, c, size in zip(self.places, centre, sizes, strict=True)
        ]
        return np.asarray(np.sqrt(sum(parts)), np.float32)

    def above_diaphragm(self, side: Side) -> Array:
        """Return the height over one half of the diaphragm."""
        x, y, z = self.places
        away = (x - SIGN[side] * np.float32(62)) ** 2 + np.float32(0.8) * (y - np.float32(10)) ** 2
        return np.asarray(z - np.maximum(_DOME[side] - np.float32(0.006) * away, np.float32(-72)), np.float32)

    def _lung(self, side: Side) -> Array:
        medial = SIGN[side] * self.places[0] - np.float32(_MIDDLE)
        parts = [self.inner - np.float32(1.5), medial, self.above_diaphragm(side), self.ellipsoid(*_APEX[side])]
        return np.minimum.reduce(parts)

    def lobe(self, side: Side, lobe: str) -> Array:
        """Return the distance from a lobe of a lung."""
        _, y, z = self.places
        slope, height = _FISSURE
        front = (z + np.float32(slope) * y - np.float32(height)) / np.float32(np.hypot(1, slope))
        lung = self.lungs[side]
        if lobe == "lower":
            return np.minimum(lung, -front)
        upper = np.minimum(lung, front)
        if side == "left":
            return upper
        over = z - np.float32(_HORIZONTAL)
        return np.minimum(upper, over if lobe == "upper" else -over)

    @property
    def heart(self) -> Array:
        """From the heart."""
        return self.ellipsoid(HEART, scaled((50.0, 42.0, 46.0), self.build.factors["heart"]))

    @property
    def liver(self) -> Array:
        """From the liver: a large right and a small left lobe under the diaphragm."""
        factor = self.build.factors["liver"]
        right = self.ellipsoid((66.0, 2.0, -45.0), scaled((64.0, 84.0, 68.0), factor))
        left = self.ellipsoid((2.0, 42.0, -26.0), scaled((62.0, 40.0, 30.0), factor))
        under = -self.above_diaphragm("right") - np.float32(4)
        return np.minimum.reduce([np.maximum(right, left), under, self.inner - np.float32(4)])

    @property
    def spleen(self) -> Array:
        """From the spleen."""
        axes = scaled((25.0, 40.0, 44.0), self.build.factors["spleen"])
        under = -self.above_diaphragm("left") - np.float32(4)
        return np.minimum.reduce([self.ellipsoid((-92.0, -38.0, -42.0), axes), under, self.inner - np.float32(4)])

    @property
    def gallbladder(self) -> Array:
        """From the gallbladder."""
        return self.ellipsoid((44.0, 44.0, -88.0), (13.0, 16.0, 22.0))

    @property
    def pancreas(self) -> Array:
        """From the pancreas."""
        return self.ellipsoid((-8.0, 6.0, -78.0), (46.0, 10.0, 13.0))

    @property
    def vena_cava(self) -> Array:
        """From the inferior vena cava."""
        return self.tube((20.0, -38.0), 11.0, -200.0, 10.0)

    @property
    def aorta(self) -> Array:
        """From the aorta: its ascending part, arch and descending part."""
        parts = [self.tube((2.0, 12.0), 14.0, 62.0, 108.0), self.tube((-22.0, -42.0), 12.0, -200.0, 106.0)]
        return np.maximum.reduce([*parts, self.ellipsoid((-10.0, -16.0, 104.0), (15.0, 40.0, 13.0))])

    @property
    def superior_vena_cava(self) -> Array:
        """From the superior vena cava."""
        return self.tube((24.0, 4.0), 9.0, 60.0, 200.0)

    @property
    def spine(self) -> Array:
        """From the column of vertebrae and discs."""
        return self.tube((0.0, -72.0), 19.0, -300.0, 300.0)

    def fluid(self, depth: float) -> Array:
        """From fluid of a depth [mm] behind the lungs of who lies on the back, wherever it is."""
        return np.asarray(np.float32(depth - 92) - self.places[1], np.float32)

    @property
    def over_liver(self) -> Array:
        """From all that lies where the liver would reach to else."""
        kidney = self.kidney("right") + np.float32(PERIRENAL)
        return np.maximum.reduce([kidney, self.gallbladder, self.pancreas, self.vena_cava, self.spine])

    @property
    def over_lungs(self) -> Array:
        """From all that lies where the lungs would reach to else."""
        heart = self.heart + np.float32(PERICARDIAL)
        return np.maximum.reduce([heart, self.aorta, self.superior_vena_cava, self.spine])

    def kidney(self, side: Side) -> Array:
        """From a kidney."""
        axes = scaled(KIDNEY_AXES, self.build.factors["kidney"])
        return np.minimum(self.ellipsoid(KIDNEYS[side], axes), self.inner - np.float32(3))


HEART: Point = (-20.0, 26.0, 44.0)
KIDNEY_AXES: Point = (26.0, 24.0, 50.0)
KIDNEYS: Mapping[Side, Point] = {"right": (60.0, -48.0, -98.0), "left": (-60.0, -48.0, -90.0)}


def usual(build: Build, places: Array) -> Array:
    """Return places as they lie in a cavity of usual size, `(3, …)`."""
    sizes = (build.wide / USUAL_WIDE, build.deep / USUAL_DEEP, 1.0)
    moved = np.stack([p / np.float32(size) for p, size in zip(places, sizes, strict=True)])
    moved[2] -= np.float32(build.shift)
    return moved


def rounded(x: Array, y: Array, wide: float, deep: float) -> Array:
    """Return the distance from an upright tube whose section is between ellipse and box, of the first order."""
    across, along = np.abs(x) / np.float32(wide), np.abs(y) / np.float32(deep)
    power = np.float32(2.4)
    radius = (across**power + along**power) ** (1 / power) + np.float32(1e-6)
    slope = np.sqrt((across ** (power - 1) / wide) ** 2 + (along ** (power - 1) / deep) ** 2) * radius ** (1 - power)
    return np.asarray((1 - radius) / (slope + np.float32(1e-6)), np.float32)


def scaled(axes: Point, factor: float) -> Point:
    """Return half axes times a factor."""
    return axes[0] * factor, axes[1] * factor, axes[2] * factor
