"""A fitted run as the stability audit wants it: its methods, its images, and how to measure anew."""

from __future__ import annotations

from collections.abc import Callable

from deepinv.physics import LinearPhysics

from scanweave.framework.study_selection import Choice, select_studies
from scanweave.measures.stability.audit_setup import Measure, Reconstruct, Setup
from scanweave.measures.stability.measuring import measuring, noise_levels, with_more
from scanweave.studies.cohort import Cohort
from scanweave.systems.acid.evaluation import measured_pairs
from scanweave.systems.acid.fitted import FittedAcid
from scanweave.systems.acid.measurement_pairs import Pairs
from scanweave.systems.acid.operators import is_complex

Say = Callable[[str], None]


def audit_setup(fitted: FittedAcid, cohort: Cohort, *, part: Choice | None = None, say: Say = print) -> Setup:
    """Take the sinograms and true images of a cohort for an audit of a run.

    Args:
        fitted: The fitted run.
        cohort: Studies with sinograms of one geometry and true images.
        part: Which studies; see `engine.selection.select_studies`.
        say: Takes lines about choices.
    """
    chosen = select_studies(fitted.run, cohort, part, say)
    left_out: dict[str, str] = {}
    physics, pairs = measured_pairs(fitted, chosen.cohort, left_out, say)
    return setup_of(fitted, physics, pairs, {**chosen.about, "left_out": left_out}, say)


def setup_of(
    fitted: FittedAcid, physics: LinearPhysics, pairs: Pairs, about: dict[str, object], say: Say = print
) -> Setup:
    """Return the same from images and measurements in memory.

    Args:
        fitted: The fitted run.
        physics: The scanner that measured.
        pairs: Images and measurements.
        about: What the report says of them.
        say: Takes a line where there is no scanner of more data.
    """
    several = len(fitted.channels) > 1 and not is_complex(physics)
    noise = noise_levels(physics, pairs.truth, pairs.measurement) if several else fitted.choices.noise
    scanner = with_more(physics, say)

    def more(factor: float) -> tuple[dict[str, Reconstruct], Measure]:
        assert scanner is not None  # noqa: S101 - else it is not handed out
        other = scanner(factor).to(fitted.device)
        return fitted.methods(other), measuring(other, noise)

    return Setup(
        truth=pairs.truth,
        measurement=pairs.measurement,
        methods=fitted.methods(physics),
        forward=physics.A,
        measure=measuring(physics, noise),
        patients=pairs.patients,
        data_range=fitted.choices.data_range,
        more=None if scanner is None else more,
        about=about,
    )
