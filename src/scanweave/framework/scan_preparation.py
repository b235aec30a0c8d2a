"""Scans of a cohort made ready for a network: the plan learnt on the training part, the cache of both parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scanweave.framework.cohort_fit import CohortFit
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.studies.preparing.settings import PreparationSettings

PLAN_STUDIES = 32
"""Training studies that the intensities of a plan are learnt from, at most: more would hardly move a median."""
PLAN_STREAM = 2
"""Keeps the choice of these studies apart from what else is drawn from a seed."""


class PreparedParts(NamedTuple):
    """What a network learns from.

    Attributes:
        plan: How studies are made ready.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
    """

    plan: Plan
    training: list[CachedStudy]
    validation: list[CachedStudy]


def prepare_parts(
    fit: CohortFit[Any],
    cohort: Cohort,
    names: Sequence[str],
    settings: PreparationSettings,
    seed: int,
    *,
    masks: Sequence[str] = (),
    standard: bool = False,
    cubes: bool = False,
) -> PreparedParts:
    """Learn the plan of a run, or read it if it is there, and prepare the training and the validation part.

    Args:
        fit: The fit.
        cohort: Sound studies, each with at least one of the scans.
        names: Of the scans.
        settings: What the user decided of the preparation.
        seed: Draws the studies that the plan is learnt from.
        masks: Label maps that are learnt.
        standard: As in `learn_plan`.
        cubes: As in `PreparedCohort`.

    Raises:
        ScanweaveError: No study trains, or a scan or label map is in none of those that do.
    """
    training, validation = fit.divide(cohort)

    def learn() -> Plan:
        order = np.random.default_rng([seed, PLAN_STREAM]).permutation(len(training))
        chosen = training.select([training.studies[i] for i in order[:PLAN_STUDIES]])
        return learn_plan(chosen, names, settings, masks=masks, standard=standard)

    plan = fit.plan(Plan.load, learn)
    for reason in plan.reasons:
        fit.say(reason)
    prepared: list[list[CachedStudy]] = []
    for part in (training, validation):
        with fit.progress("studies prepared") as progress:
            ready = PreparedCohort(part, plan, cubes=cubes)
            prepared.append(ready.prepare(fit.workers, progress) if len(part) else [])
    return PreparedParts(plan, *prepared)
