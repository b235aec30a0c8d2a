"""Features of patients' images, as columns of a clinical table, never made by a run that learnt from the patient.

A network describes its own training patients better than others, so a model of the table that is fitted on such
descriptions trusts them too much (stacking out of fold: Wolpert, Neural Networks 5, 1992). Each patient is therefore
described by a run that saw him neither in training nor in validation; the runs of all folds describe everybody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.wording import count

if TYPE_CHECKING:
    from scanweave.framework.system import System

Say = Callable[[str], None]
Features = dict[str, dict[str, float]]
"""Numbers of each patient by the name of their column."""


def cross_fitted_features(runs: Sequence[System[Any]], say: Say = print) -> Features:
    """Return the embeddings of the patients of the runs' cohorts, each by the first run that did not see him.

    Embedding `film` of D numbers becomes `film_000` … of a patient; of several studies of his it is the mean. Runs of
    several folds are different networks, whose axes need not mean the same.

    Args:
        runs: Fitted systems that make embeddings.
        say: Takes a line for each run: whom it describes, and how many are left out since it learnt from them.

    Raises:
        ScanweaveError: A run does not tell whom it learnt from, its cohort is gone or changed, it makes no embedding,
            or runs make embeddings of other sizes.
    """
    found: Features = {}
    for system in runs:
        made = _described(system, set(found), say)
        columns = {*next(iter(found.values()), {})}
        other = next((one for one in made.values() if columns and set(one) != columns), None)
        if other is not None:
            words = f"makes {len(other)} numbers a patient, and the runs before it {len(columns)}"
            raise ScanweaveError(system.run.folder, words, "Give runs of one system and settings, one a fold")
        found |= made
    return found


def _described(system: System[Any], known: set[str], say: Say) -> Features:
    """Return what one run makes of the patients that it did not see and that are not described yet."""
    run = system.run
    seen = run.inputs
    if seen is None:
        raise ScanweaveError(run.folder, "does not tell whom it learnt from", "Fit it again with this version")
    cohort = _own_cohort(system)
    learnt = sorted(set(cohort.patients) & set(seen))
    rest = cohort.where(~cohort.frame["patient"].isin([*learnt, *known]))
    vectors: dict[str, list[Mapping[str, NDArray[np.floating]]]] = defaultdict(list)
    for one in system.predictions(rest, say=say):
        if one.error is not None:
            say(f"  note: {one.name} is not described: {one.error}")
        elif one.made is not None and one.study is not None and one.made.embeddings:
            vectors[one.study.patient].append(one.made.embeddings)
    if len(rest) and not vectors:
        raise ScanweaveError(run.folder, "makes no embeddings", "Give a run of a system that does")
    left = f", {count(len(learnt), 'patient')} left out that it learnt from" if learnt else ""
    say(f"features: {run.folder.name} describes {count(len(vectors), 'patient')}{left}")
    return {patient: _flat(those) for patient, those in vectors.items()}


def _own_cohort(system: System[Any]) -> Cohort:
    kept = system.run.record.get("cohort")
    about = kept if isinstance(kept, dict) else {}
    path = about.get("path")
    if not isinstance(path, str):
        raise ScanweaveError(system.run.folder, "does not tell its cohort", "Give a run that was fitted on a cohort")
    cohort = Cohort.open(path)
    if cohort.digest != about.get("sha256"):
        raise ScanweaveError(path, f"changed since {system.run.folder.name} was fitted on it", "Fit the run again")
    return cohort


def _flat(studies: Sequence[Mapping[str, NDArray[np.floating]]]) -> dict[str, float]:
    """Return the mean of a patient's studies as numbers by column."""
    flat: dict[str, float] = {}
    for name in studies[0]:
        mean = np.mean([one[name] for one in studies if name in one], axis=0)
        flat |= {f"{name}_{k:03d}": float(value) for k, value in enumerate(mean)}
    return flat
