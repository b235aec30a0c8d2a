"""How an audit measures images anew: on a finer grid, with noise of a known level."""

from __future__ import annotations

from dataclasses import replace

import torch
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.measures.batches import norms
from scanweave.measures.stability.setup import Measure, Reconstruct
from scanweave.physics.ct.operators import CtPhysics

FINER = 2
"""Pixels along a side of a pixel where images are measured anew, so that no method inverts its own simulation."""


def noise_level(physics: LinearPhysics, truth: Tensor, measurement: Tensor) -> float:
    """Typical ‖p − A f*‖ / ‖p‖ of images: noise, and what the scanner's model leaves out."""
    with torch.no_grad():
        return float((norms(measurement - physics.A(truth)) / norms(measurement)).median())


def measuring(physics: LinearPhysics, noise: float) -> Measure:
    """Return a way to measure images anew: CT on a finer grid, with noise of the level that the fit found.

    The noise of a ray of CT grows with its attenuation, as that of counts does: its variance as exp(p). That of
    k-space is white, on what is sampled.

    Args:
        physics: The scanner.
        noise: ‖noise‖ / ‖measurement‖.
    """
    finer = _finer(physics)

    def measure(truth: Tensor, generator: Generator) -> Tensor:
        clean = finer(truth)
        drawn = torch.randn(clean.shape, generator=generator).to(clean)
        drawn = drawn * (torch.exp(0.5 * clean) if isinstance(physics, CtPhysics) else (clean != 0))
        return clean + drawn * (noise * norms(clean) / norms(drawn)).reshape(-1, *[1] * (clean.ndim - 1))

    return measure


def _finer(physics: LinearPhysics) -> Reconstruct:
    if not isinstance(physics, CtPhysics):
        forward: Reconstruct = physics.A
        return forward
    geometry, (rows, columns) = physics.geometry, physics.geometry.shape
    fine = CtPhysics(replace(geometry, shape=(FINER * rows, FINER * columns), pixel=geometry.pixel / FINER))
    return lambda truth: fine.A(truth.repeat_interleave(FINER, -2).repeat_interleave(FINER, -1))
