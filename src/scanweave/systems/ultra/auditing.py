"""A fitted run as the stability audit wants it: its methods, its images, and how to measure anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from scanweave.engine.selection import Choice, select_studies
from scanweave.errors import ScanweaveError
from scanweave.measures.stability.audit_setup import Measure, Reconstruct, Setup
from scanweave.measures.stability.measuring import measuring, noise_levels, with_more
from scanweave.physics.ct.operators import CtPhysics
from scanweave.studies.cohort import Cohort
from scanweave.systems.ultra.figures import NAMES
from scanweave.systems.ultra.images import SpectralImages

if TYPE_CHECKING:
    from scanweave.systems.ultra.system import Ultra

Say = Callable[[str], None]


def audit_setup(system: Ultra, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
    """Take the line integrals and true bins of a cohort for an audit of a run.

    Args:
        system: The fitted run.
        cohort: Studies with sinograms of one geometry and true bins.
        part: Which studies; see `engine.selection.select_studies`.
        say: Takes lines about choices.

    Raises:
        ScanweaveError: No study has both.
    """
    chosen = select_studies(system.run, cohort, part, say)
    images, left_out = _read(system, chosen.cohort, say)
    physics = CtPhysics(images[0].geometry, window=system.config.window).to(system.device)
    truth, lines = (
        torch.from_numpy(np.stack([np.asarray(getattr(one, field), np.float32) for one in images])).to(system.device)
        for field in ("truth", "lines")
    )
    noise = noise_levels(physics, truth, lines)

    scanner = None if system.network.needs_sinogram else with_more(physics, say)

    def more(factor: float) -> tuple[dict[str, Reconstruct], Measure]:
        assert scanner is not None  # noqa: S101 - else it is not handed out
        other = scanner(factor).to(system.device)
        return methods(system, other), measuring(other, noise)

    return Setup(
        truth=truth,
        measurement=lines,
        methods=methods(system, physics),
        forward=physics.A,
        measure=measuring(physics, noise),
        patients=tuple(one.patient for one in images),
        data_range=max(system.plan.span),
        more=None if scanner is None else more,
        about={**chosen.about, "left_out": left_out},
    )


def methods(system: Ultra, physics: CtPhysics) -> dict[str, Reconstruct]:
    """The filtered backprojection and the network behind it, from line integrals `(B, S, views, detectors)`."""
    name = system.config.network.architecture
    return {
        NAMES["fbp"]: physics.A_dagger,
        NAMES.get(name, name): lambda lines: system.network(physics.A_dagger(lines), lines),
    }


def _read(system: Ultra, cohort: Cohort, say: Say) -> tuple[list[SpectralImages], dict[str, str]]:
    read: list[SpectralImages] = []
    left_out: dict[str, str] = {}
    for name in cohort.studies:
        try:
            images = system.images(cohort[name])
            if images.truth is None:
                raise ScanweaveError(name, "has no true images to compare with", "Leave it out")
            if read and images.geometry != read[0].geometry:
                raise ScanweaveError(name, "was measured with another geometry", "Audit one geometry at a time")
        except ScanweaveError as error:
            left_out[name] = error.reason
            say(f"left out: {error}")
        else:
            read.append(images)
    if not read:
        raise ScanweaveError(cohort.folder, "no study could be read", "See the lines above")
    return read, left_out
