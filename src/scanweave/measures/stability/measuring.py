"""Measuring images anew for an audit: on a finer grid, with noise of a known level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError
from scanweave.measures.batches import norms
from scanweave.measures.stability.audit_setup import Measure, Reconstruct
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.views import with_views

Say = Callable[[str], None]
FINER = 2
"""Pixels along a side of a pixel where images are measured anew, so that no method inverts its own simulation."""


def noise_level(physics: LinearPhysics, truth: Tensor, measurement: Tensor) -> float:
    """Return the typical ‖p − A f*‖ / ‖p‖ of images: noise, and what the scanner's model leaves out."""
    with torch.no_grad():
        return float((norms(measurement - physics.A(truth)) / norms(measurement)).median())


def noise_levels(physics: LinearPhysics, truth: Tensor, measurement: Tensor) -> Tensor:
    """Return the noise level of each channel, `(C,)`: energy bins share the photons, and not evenly."""
    with torch.no_grad():
        missed = (measurement - physics.A(truth)).flatten(2).norm(dim=2)
        return (missed / measurement.flatten(2).norm(dim=2)).median(dim=0).values


def measuring(physics: LinearPhysics, noise: float | Tensor) -> Measure:
    """Return a way to measure images anew: CT on a finer grid, with noise of a known level.

    The noise of a ray of CT grows with its attenuation, as that of counts does: its variance as exp(p). That of
    k-space is white, on what is sampled.

    Args:
        physics: The scanner.
        noise: ‖noise‖ / ‖measurement‖, of all channels together or of each, `(C,)`.
    """
    axis = 1 if isinstance(noise, float) else 2
    finer = _finer(physics)

    def measure(truth: Tensor, generator: Generator) -> Tensor:
        clean = finer(truth)
        drawn = torch.randn(clean.shape, generator=generator).to(clean)
        drawn = drawn * (torch.exp(0.5 * clean) if isinstance(physics, CtPhysics) else (clean != 0))
        size = noise * clean.flatten(axis).norm(dim=axis) / drawn.flatten(axis).norm(dim=axis)
        return clean + drawn * size.reshape(*size.shape, *[1] * (clean.ndim - size.ndim))

    return measure


def with_more(physics: LinearPhysics, say: Say) -> Callable[[float], LinearPhysics] | None:
    """Return the scanner by a factor of its data, or None, and say so, where there is no such scanner.

    Args:
        physics: The scanner.
        say: Takes the line.
    """
    try:
        with_views(physics, 1.0)
    except ScanweaveError as error:
        say(f"more data: left out, since the {error.where} {error.reason}")
        return None
    return lambda factor: with_views(physics, factor)


def _finer(physics: LinearPhysics) -> Reconstruct:
    if not isinstance(physics, CtPhysics):
        forward: Reconstruct = physics.A
        return forward
    geometry, (rows, columns) = physics.geometry, physics.geometry.shape
    fine = CtPhysics(replace(geometry, shape=(FINER * rows, FINER * columns), pixel=geometry.pixel / FINER))
    return lambda truth: fine.A(truth.repeat_interleave(FINER, -2).repeat_interleave(FINER, -1))
