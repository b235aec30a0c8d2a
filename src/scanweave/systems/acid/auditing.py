"""A fitted run as the stability audit wants it: its methods, its images, and how to measure anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.engine.selection import Choice, select_studies
from scanweave.measures.batches import norms
from scanweave.measures.stability.setup import Measure, Setup
from scanweave.physics.ct.operators import CtPhysics
from scanweave.studies.cohort import Cohort
from scanweave.systems.acid.loop import Reconstruct
from scanweave.systems.acid.operators import with_views
from scanweave.systems.acid.pairs import Pairs, load_pairs

if TYPE_CHECKING:
    from scanweave.systems.acid.system import AcidSystem

FINER = 2
"""Pixels along a side of a pixel where images are measured anew, so that no method inverts its own simulation."""
Say = Callable[[str], None]


def audit_setup(system: AcidSystem, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
    """Take the sinograms and true images of a cohort for an audit of a run.

    Args:
        system: The fitted run.
        cohort: Studies with sinograms of one geometry and true images.
        part: Which studies; see `engine.selection.select_studies`.
        say: Takes lines about choices.
    """
    chosen = select_studies(system.run, cohort, part, say)
    left_out: dict[str, str] = {}
    physics, pairs = load_pairs(chosen.cohort, system.channels, left_out=left_out)
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    about = {**chosen.about, "left_out": left_out}
    return setup_of(system, physics.to(system.device), pairs.to(system.device), about)


def setup_of(system: AcidSystem, physics: LinearPhysics, pairs: Pairs, about: dict[str, object]) -> Setup:
    """The same from images and measurements in memory.

    Args:
        system: The fitted run.
        physics: The scanner that measured.
        pairs: Images and measurements.
        about: What the report says of them.
    """
    noise = system.choices.noise

    def more(factor: float) -> tuple[dict[str, Reconstruct], Measure]:
        other = with_views(physics, factor).to(system.device)
        return system.methods(other), measuring(other, noise)

    return Setup(
        truth=pairs.truth, measurement=pairs.measurement, methods=system.methods(physics), forward=physics.A,
        measure=measuring(physics, noise), patients=pairs.patients, data_range=system.choices.data_range, more=more,
        about=about,
    )  # fmt: skip


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
