"""A fitted run as the stability audit wants it: its methods, its images, and how to measure anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from scanweave.errors import ScanweaveError
from scanweave.framework.study_selection import Choice, select_studies
from scanweave.measures.stability.audit_setup import Measure, Reconstruct, Setup
from scanweave.measures.stability.measuring import measuring, noise_levels, with_more
from scanweave.physics.ct.operators import CtPhysics
from scanweave.studies.cohort import Cohort
from scanweave.systems.ultra.figures import NAMES
from scanweave.systems.ultra.fitted import FittedUltra
from scanweave.systems.ultra.images import SpectralImages

Say = Callable[[str], None]


def audit_setup(fitted: FittedUltra, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
    """Take the line integrals and true bins of a cohort for an audit of a run.

    Args:
        fitted: The fitted run.
        cohort: Studies with sinograms of one geometry and true bins.
        part: Which studies; see `engine.selection.select_studies`.
        say: Takes lines about choices.

    Raises:
        ScanweaveError: No study has both.
    """
    chosen = select_studies(fitted.run, cohort, part, say)
    images, left_out = _read(fitted, chosen.cohort, say)
    physics = CtPhysics(images[0].geometry, window=fitted.config.window).to(fitted.device)
    truth, lines = (
        torch.from_numpy(np.stack([np.asarray(getattr(one, field), np.float32) for one in images])).to(fitted.device)
        for field in ("truth", "lines")
    )
    noise = noise_levels(physics, truth, lines)

    scanner = None if fitted.network.needs_sinogram else with_more(physics, say)

    def more(factor: float) -> tuple[dict[str, Reconstruct], Measure]:
        assert scanner is not None  # noqa: S101 - else it is not handed out
        other = scanner(factor).to(fitted.device)
        return methods(fitted, other), measuring(other, noise)

    return Setup(
        truth=truth,
        measurement=lines,
        methods=methods(fitted, physics),
        forward=physics.A,
        measure=measuring(physics, noise),
        patients=tuple(one.patient for one in images),
        data_range=max(fitted.plan.span),
        more=None if scanner is None else more,
        about={**chosen.about, "left_out": left_out},
    )


def methods(fitted: FittedUltra, physics: CtPhysics) -> dict[str, Reconstruct]:
    """Return the filtered backprojection and the network behind it, from line integrals `(B, S, views, detectors)`."""
    name = fitted.config.network.architecture
    return {
        NAMES["fbp"]: physics.A_dagger,
        NAMES.get(name, name): lambda lines: fitted.network(physics.A_dagger(lines), lines),
    }


def _read(fitted: FittedUltra, cohort: Cohort, say: Say) -> tuple[list[SpectralImages], dict[str, str]]:
    read: list[SpectralImages] = []
    left_out: dict[str, str] = {}
    for name in cohort.studies:
        try:
            images = fitted.images_with_truth(cohort[name])
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
