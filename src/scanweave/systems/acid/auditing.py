"""A fitted run as the stability audit wants it: its methods, its images, and how to measure anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepinv.physics import LinearPhysics

from scanweave.engine.selection import Choice, select_studies
from scanweave.measures.stability.audit_setup import Measure, Reconstruct, Setup
from scanweave.measures.stability.measuring import measuring, noise_levels, with_more
from scanweave.studies.cohort import Cohort
from scanweave.systems.acid.measurement_pairs import Pairs, load_pairs
from scanweave.systems.acid.operators import is_complex

if TYPE_CHECKING:
    from scanweave.systems.acid.system import AcidSystem

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
    known = system.plan.thresholds or None
    physics, pairs = load_pairs(chosen.cohort, system.channels, thresholds=known, left_out=left_out)
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    about = {**chosen.about, "left_out": left_out}
    return setup_of(system, physics.to(system.device), pairs.to(system.device), about, say)


def setup_of(
    system: AcidSystem, physics: LinearPhysics, pairs: Pairs, about: dict[str, object], say: Say = print
) -> Setup:
    """The same from images and measurements in memory.

    Args:
        system: The fitted run.
        physics: The scanner that measured.
        pairs: Images and measurements.
        about: What the report says of them.
        say: Takes a line where there is no scanner of more data.
    """
    several = len(system.channels) > 1 and not is_complex(physics)
    noise = noise_levels(physics, pairs.truth, pairs.measurement) if several else system.choices.noise
    scanner = with_more(physics, say)

    def more(factor: float) -> tuple[dict[str, Reconstruct], Measure]:
        assert scanner is not None  # noqa: S101 - else it is not handed out
        other = scanner(factor).to(system.device)
        return system.methods(other), measuring(other, noise)

    return Setup(
        truth=pairs.truth,
        measurement=pairs.measurement,
        methods=system.methods(physics),
        forward=physics.A,
        measure=measuring(physics, noise),
        patients=pairs.patients,
        data_range=system.choices.data_range,
        more=None if scanner is None else more,
        about=about,
    )
