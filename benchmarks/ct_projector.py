"""Correctness of the projector and filtered backprojection: adjoint, a disc's sinogram, ASTRA, and back again.

Every claim is the worst over the geometries and seeds; a seed places the disc and draws the images. "Off the edge" is
three pixels or more from the disc's edge, within the circle that every view sees. The disc's image has each pixel's
mean over 8 × 8 points. ASTRA's `linear` is Joseph's method too; its `line` is the length in each pixel (Siddon).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from common import Claim, benchmark_arguments, write_results
from numpy.typing import NDArray

from scanweave.external import require
from scanweave.physics.ct.fbp import FilteredBackprojection
from scanweave.physics.ct.geometry import CtGeometry, FanArcGeometry, FanFlatGeometry, ParallelGeometry, even_angles
from scanweave.physics.ct.projector import MEMORY_LIMIT, Projector

TIERS = {
    "smoke": {"size": 64, "views": 90, "seeds": (0,)},
    "proof": {"size": 256, "views": 180, "seeds": (0, 1, 2)},
    "study": {"size": 512, "views": 360, "seeds": (0, 1, 2, 3, 4)},
}
PIXEL = 0.8
EDGE = 3
Array = NDArray[Any]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    scans, seeds = make_scans(tier["size"], tier["views"]), tier["seeds"]
    claims = [*adjoint_claims(scans, seeds), sinogram_claim(scans, seeds), *astra_claims(scans, seeds)]
    claims += back_again_claims(scans, seeds)
    write_results("ct_projector", arguments, seeds, claims)


def make_scans(size: int, views: int) -> dict[str, CtGeometry]:
    """Return scans whose sources turn at three half-diagonals."""
    shape, half = (size, size), PIXEL * size / math.sqrt(2)
    fan = {"source": 3 * half, "detector": 2 * half}
    sweep = FanArcGeometry.covering(shape, PIXEL, (0.0,), **fan).short_sweep
    full, short = even_angles(2 * views, 360), even_angles(round(2 * views * sweep / 360), sweep)
    return {
        "parallel": ParallelGeometry.covering(shape, PIXEL, even_angles(views)),
        "fan-flat": FanFlatGeometry.covering(shape, PIXEL, full, **fan),
        "fan-arc": FanArcGeometry.covering(shape, PIXEL, full, **fan),
        "fan-flat, short scan": FanFlatGeometry.covering(shape, PIXEL, short, **fan),
        "fan-arc, short scan": FanArcGeometry.covering(shape, PIXEL, short, **fan),
    }


@dataclass(frozen=True)
class Disc:
    """A disc of one attenuation [1/mm], its place and radius in mm."""

    x: float
    y: float
    radius: float
    mu: float = 0.02

    @classmethod
    def drawn(cls, seed: int, size: int) -> Disc:
        """Return a disc for an image of `size`² pixels."""
        rng = np.random.default_rng([seed, 3])
        extent = PIXEL * size / 2
        radius, turn = extent * rng.uniform(0.4, 0.55), rng.uniform(0, 2 * math.pi)
        way = rng.uniform(0.5, 0.9) * (0.95 * extent - radius)
        return cls(way * math.cos(turn), way * math.sin(turn), radius)

    def distances(self, size: int, finer: int = 1) -> Array:
        """Return the distance of each pixel, or of `finer`² points in it, from the disc's centre [mm]."""
        along = (np.arange(size * finer) - (size * finer - 1) / 2) * PIXEL / finer
        return np.hypot(along[None, :] - self.x, -along[:, None] - self.y)

    def image(self, size: int, finer: int = 8) -> Array:
        """Return the mean of each pixel [1/mm]."""
        inside = self.distances(size, finer) <= self.radius
        return self.mu * inside.reshape(size, finer, size, finer).mean((1, 3))

    def sinogram(self, geometry: CtGeometry) -> Array:
        """Return the chords: twice the root of radius² less the ray's distance²."""
        start, end = np.moveaxis(geometry.rays(), 2, 0)
        direction = (end - start) / np.linalg.norm(end - start, axis=-1, keepdims=True)
        way = np.array([self.x, self.y]) - start
        distance = way[..., 0] * direction[..., 1] - way[..., 1] * direction[..., 0]
        return 2 * self.mu * np.sqrt(np.maximum(self.radius**2 - distance**2, 0))


def worst(name: str, values: Iterable[float], bar: float | None, control: dict[str, float] | None = None) -> Claim:
    found = list(values)
    return Claim(name, max(found), min(found), max(found), "", len(found), bar, "lower", control or {})


def adjoint_claims(scans: dict[str, CtGeometry], seeds: Iterable[int]) -> list[Claim]:
    claims = []
    for mode, limit in (("sparse matrix", MEMORY_LIMIT), ("on the fly", 0)):
        for dtype in (torch.float32, torch.float64):
            if dtype == torch.float64 and limit:
                limit *= 2  # the same matrices, of twice the bytes
            projectors = (Projector(scan, memory_limit=limit) for scan in scans.values())
            errors = [error for projector in projectors for error in adjoint_errors(projector, dtype, seeds)]
            claims.append(worst(f"adjoint error, {mode}, {str(dtype)[6:]}", errors, 1e-5))
    return claims


def adjoint_errors(projector: Projector, dtype: torch.dtype, seeds: Iterable[int]) -> list[float]:
    """Return |⟨Ax, y⟩ − ⟨x, Aᵀy⟩| / |⟨Ax, y⟩| for Gaussian x and y, summed in double precision."""
    errors = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        image = torch.randn(projector.geometry.shape, generator=generator, dtype=dtype)
        sinogram = torch.randn(projector.geometry.sinogram_shape, generator=generator, dtype=dtype)
        forward = (projector.forward(image).double() * sinogram.double()).sum()
        adjoint = (image.double() * projector.adjoint(sinogram).double()).sum()
        errors.append(float((forward - adjoint).abs() / forward.abs()))
    return errors


def sinogram_claim(scans: dict[str, CtGeometry], seeds: Iterable[int]) -> Claim:
    errors = []
    for geometry in scans.values():
        projector = Projector(geometry, memory_limit=0)
        for seed in seeds:
            disc = Disc.drawn(seed, geometry.shape[0])
            found = projector.forward(torch.from_numpy(disc.image(geometry.shape[0]))).numpy()
            errors.append(relative(found, disc.sinogram(geometry)))
    return worst("disc sinogram, relative L2 error", errors, 0.01)


def astra_claims(scans: dict[str, CtGeometry], seeds: Iterable[int]) -> list[Claim]:
    """Compare noise, the hardest image, and discs; ASTRA's CPU has Joseph's method for parallel rays only."""
    claims = []
    for name, scan, model in (("parallel", "parallel", "linear"), ("fan-flat", "fan-flat", "line_fanflat")):
        geometry = scans[scan]
        size = geometry.shape[0]
        drawn: dict[str, Callable[[int], Array]] = {
            "noise": lambda seed, n=size: np.random.default_rng([seed, 4]).standard_normal((n, n)),
            "disc": lambda seed, n=size: Disc.drawn(seed, n).image(n),
        }
        projector = Projector(geometry, memory_limit=0)
        for kind, draw in drawn.items():
            images = [draw(seed).astype(np.float32) for seed in seeds]
            errors = [
                relative(projector.forward(torch.from_numpy(image)).numpy(), astra_sinogram(geometry, model, image))
                for image in images
            ]
            claims.append(worst(f"difference from ASTRA's {model.split('_')[0]}, {name}, {kind}", errors, None))
    return claims


def astra_sinogram(geometry: CtGeometry, model: str, image: Array) -> Array:
    astra = require("astra", "astra")
    half = geometry.pixel * geometry.shape[0] / 2
    volume = astra.create_vol_geom(*geometry.shape, -half, half, -half, half)
    beam = [geometry.pitch, geometry.detectors, np.deg2rad(geometry.angles)]
    if isinstance(geometry, FanFlatGeometry):
        beam += [geometry.source, geometry.detector]
    projector = astra.create_projector(model, astra.create_proj_geom(geometry.kind.replace("-", ""), *beam), volume)
    handle, sinogram = astra.create_sino(image, projector)
    astra.data2d.delete(handle)
    astra.projector.delete(projector)
    return np.asarray(sinogram)


def back_again_claims(scans: dict[str, CtGeometry], seeds: Iterable[int]) -> list[Claim]:
    claims = []
    for name, geometry in scans.items():
        projector, fbp = Projector(geometry, memory_limit=0), FilteredBackprojection(geometry)
        errors, scales, whole = [], [], []
        for seed in seeds:
            disc = Disc.drawn(seed, geometry.shape[0])
            truth = disc.image(geometry.shape[0])
            image = fbp(projector.forward(torch.from_numpy(truth))).numpy()
            judged, inside = off_the_edge(disc, geometry.shape[0])
            errors.append(float(np.sqrt(((image - truth)[judged] ** 2).mean()) / disc.mu))
            scales.append(abs(float(image[inside].mean()) / disc.mu - 1))
            whole.append(relative(image, truth))
        control = {"error of the mean inside": max(scales), "relative L2 with edges": max(whole)}
        claims.append(worst(f"FBP of a disc's projections, {name}, RMSE off the edge over mu", errors, 0.02, control))
    return claims


def off_the_edge(disc: Disc, size: int) -> tuple[Array, Array]:
    """Return masks of the pixels that are judged, and of those inside the disc."""
    distance = disc.distances(size)
    seen = Disc(0.0, 0.0, 0.0).distances(size) < PIXEL * size / 2
    return seen & (abs(distance - disc.radius) > EDGE * PIXEL), distance < disc.radius - EDGE * PIXEL


def relative(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


if __name__ == "__main__":
    main()
