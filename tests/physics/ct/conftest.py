from dataclasses import dataclass

import numpy as np
import pytest

from scanweave.physics.ct.geometry import FanArcGeometry, FanFlatGeometry, ParallelGeometry, even_angles

FAN = {"source": 300.0, "detector": 250.0}


def short_scan(kind, shape, pixel, views, start=0.0):
    sweep = kind.covering(shape, pixel, (0.0,), **FAN).short_sweep
    return kind.covering(shape, pixel, even_angles(views, sweep, start), **FAN)


@pytest.fixture
def scans():
    """Scans of a grid by name, `views` of them per 180°."""

    def make(shape, pixel, views):
        return {
            "parallel": ParallelGeometry.covering(shape, pixel, even_angles(views)),
            "parallel, full turn": ParallelGeometry.covering(shape, pixel, even_angles(2 * views + 1, 360, 7)),
            "fan-flat": FanFlatGeometry.covering(shape, pixel, even_angles(2 * views, 360), **FAN),
            "fan-arc": FanArcGeometry.covering(shape, pixel, even_angles(2 * views, 360), **FAN),
            "fan-flat, short": short_scan(FanFlatGeometry, shape, pixel, views * 4 // 3),
            "fan-arc, short": short_scan(FanArcGeometry, shape, pixel, views * 4 // 3, start=30.0),
        }

    return make


@dataclass(frozen=True)
class Disc:
    """A disc of attenuation `mu` [1/mm] around (`x`, `y`) [mm]."""

    x: float
    y: float
    radius: float
    mu: float

    def distances(self, shape, pixel, finer=1):
        rows, columns = ((np.arange(n * finer) - (n * finer - 1) / 2) * pixel / finer for n in shape)
        return np.hypot(columns[None, :] - self.x, -rows[:, None] - self.y)

    def image(self, shape, pixel, finer=8):
        inside = self.distances(shape, pixel, finer) <= self.radius
        return self.mu * inside.reshape(shape[0], finer, shape[1], finer).mean((1, 3))

    def sinogram(self, geometry):
        ends = geometry.rays()
        start, direction = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        way = np.array([self.x, self.y]) - start
        distance = way[..., 0] * direction[..., 1] - way[..., 1] * direction[..., 0]
        return 2 * self.mu * np.sqrt(np.maximum(self.radius**2 - distance**2, 0))


@pytest.fixture
def disc():
    return Disc(x=18.3, y=-9.1, radius=31.7, mu=0.02)
