"""Scans of textured bodies for `acid.py`: CT measured on a finer grid with counted photons, MRI with a smooth phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.measures.stability.audit_setup import Measure
from scanweave.physics.ct.geometry import CtGeometry, FanFlatGeometry, ParallelGeometry, even_angles
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.fourier import FourierPhysics, cartesian_mask
from scanweave.physics.views import with_views
from scanweave.simulate.ct import draw_body
from scanweave.systems.acid.measurement_pairs import Pairs

FIELD = 250.0
"""Side of a slice [mm]."""
ENERGY = 60.0
"""Energy of the beam [keV]: one, so that nothing but noise and discretisation lies between A f and p."""
FINER, RAYS = 2, 2


class Scan(Protocol):
    """A way to measure: its operator, and images measured on another grid than that of the operator."""

    physics: LinearPhysics

    def images(self, fine: Tensor) -> Tensor:
        """True images `(B, C, H, W)` of bodies on the finer grid."""

    def measured(self, fine: Tensor, generator: Generator) -> Tensor:
        """Measurements of bodies `(B, 1, 2H, 2W)` on the finer grid, with noise."""

    def again(self, truth: Tensor, generator: Generator) -> Tensor:
        """Measurements of images."""

    def with_data(self, factor: float) -> Scan:
        """The same with `factor` times the data."""


@dataclass(frozen=True)
class CtScan:
    """CT with photons counted a ray."""

    geometry: CtGeometry
    photons: float

    @property
    def physics(self) -> CtPhysics:
        """The operator."""
        return CtPhysics(self.geometry)

    def images(self, fine: Tensor) -> Tensor:
        """True attenuation [1/mm]: means over a pixel."""
        return torch.nn.functional.avg_pool2d(fine, FINER)

    def measured(self, fine: Tensor, generator: Generator) -> Tensor:
        """Line integrals of counts; an element averages the photons of its rays."""
        g = self.geometry
        rows, columns = g.shape
        finer = replace(
            g,
            shape=(FINER * rows, FINER * columns),
            pixel=g.pixel / FINER,
            detectors=g.detectors * RAYS,
            pitch=g.pitch / RAYS,
        )
        rays = CtPhysics(finer).A(fine)
        # Photons add up over an element, not line integrals.
        open_share = torch.exp(-rays).reshape(*rays.shape[:-1], g.detectors, RAYS).mean(dim=-1)
        counts = torch.poisson(self.photons * open_share, generator=generator)
        return -torch.log(counts.clamp_min(1) / self.photons)

    def again(self, truth: Tensor, generator: Generator) -> Tensor:
        """Line integrals of counts, each pixel split into finer ones."""
        return self.measured(truth.repeat_interleave(FINER, -2).repeat_interleave(FINER, -1), generator)

    def with_data(self, factor: float) -> CtScan:
        """More or fewer views."""
        return replace(self, geometry=with_views(self.physics, factor).geometry)


@dataclass(frozen=True, eq=False)
class MriScan:
    """Cartesian MRI of a complex image, white noise of a share of the largest magnitude a sample."""

    physics: FourierPhysics
    noise: float

    def images(self, fine: Tensor) -> Tensor:
        """Attenuation as magnitude, with a phase that differs from image to image."""
        magnitude = torch.nn.functional.avg_pool2d(fine, FINER) / 0.04
        rows, columns = magnitude.shape[-2:]
        y, x = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)[None, :]
        turns = torch.stack([(1 + k % 3) * 0.4 * x - (k % 2) * 0.5 * y + 0.3 * x * y for k in range(len(fine))])[
            :, None
        ]
        return torch.cat([magnitude * turns.cos(), magnitude * turns.sin()], dim=1)

    def measured(self, fine: Tensor, generator: Generator) -> Tensor:
        """K-space of the true images."""
        return self.again(self.images(fine), generator)

    def again(self, truth: Tensor, generator: Generator) -> Tensor:
        """K-space with noise where it is sampled."""
        clean = self.physics.A(truth)
        return clean + self.noise * self.physics.mask * torch.randn(clean.shape, generator=generator)

    def with_data(self, factor: float) -> MriScan:
        """More or fewer columns."""
        return MriScan(with_views(self.physics, factor), self.noise)


def make_scan(name: str, size: int, views: int) -> Scan:
    """Return a scan by name: parallel or fan with few views, parallel with little dose, MRI 4× or 8×."""
    pixel, shape = FIELD / size, (size, size)
    if name.startswith("MRI"):
        acceleration = float(name.split()[1])
        rng = np.random.default_rng([size, 5])
        mask = cartesian_mask(shape, acceleration=acceleration, central_lines=max(2, round(0.08 * size)), rng=rng)
        return MriScan(FourierPhysics(mask), 0.01)
    if name == "fan, few views":
        fan = {"source": 2.5 * FIELD, "detector": 1.0 * FIELD}
        return CtScan(FanFlatGeometry.covering(shape, pixel, even_angles(views, 360.0), **fan), 2e4)
    if name == "parallel, low dose":
        return CtScan(ParallelGeometry.covering(shape, pixel, even_angles(4 * views)), 1e3)
    return CtScan(ParallelGeometry.covering(shape, pixel, even_angles(views)), 2e4)


def make_pairs(scan: Scan, count: int, size: int, seed: int, room: int) -> Pairs:
    """Draw bodies of their own seeds and measure them; `room` parts training, validation and test."""
    fine = torch.stack([_body(size, seed, room, number) for number in range(count)])
    generator = Generator().manual_seed(1000 * seed + room)
    names = tuple(f"{seed}-{room}-{number}" for number in range(count))
    return Pairs(scan.images(fine), scan.measured(fine, generator), names, names)


def measuring(scan: Scan) -> Measure:
    """Return the function that measures images anew."""
    measure: Callable[[Tensor, Generator], Any] = scan.again
    return measure


def _body(size: int, seed: int, room: int, number: int) -> Tensor:
    rng = np.random.default_rng([seed, room, number])
    image = draw_body(rng, size, FIELD, supersampling=FINER).attenuation(ENERGY)
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]


def peak(pairs: Pairs) -> float:
    """Largest magnitude of the images."""
    return math.sqrt(float(pairs.truth.square().sum(dim=1).max()))
