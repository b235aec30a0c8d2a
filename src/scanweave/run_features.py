"""Features of patients' images, as columns of a clinical table, never made by a run that learnt from the patient.

A network describes its own training patients better than others, so a model of the table that is fitted on such
descriptions trusts them too much (stacking out of fold: Wolpert, Neural Networks 5, 1992). Each patient is therefore
described by a run that saw him neither in training nor in validation; the runs of all folds describe everybody.

Runs of several folds are different networks, and axis 7 of one is not axis 7 of another. What can be compared is how
alike a network finds two patients; so of several runs each patient is described by his likeness to the same few others
(relative representations: Moschella et al., ICLR 2023, arXiv 2209.15430).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.saved_plan import EMBEDDING
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.wording import count

if TYPE_CHECKING:
    from scanweave.framework.system import System

Say = Callable[[str], None]
Features = dict[str, dict[str, float]]
"""Numbers of each patient by the name of their column."""
Vectors = dict[str, dict[str, NDArray[np.float64]]]
"""Embeddings of each patient by name, the mean of his studies, each `(D,)`."""
MOST_ANCHORS = 32
"""Patients to whom the others are likened, at most: as many columns, where a network's own axes are hundreds."""
_ALL_FOLDS = "Fit a run on each fold (fit … --fold 0, 1 …) and give them all"


def cross_fitted_features(runs: Sequence[System[Any]], cohort: Cohort | None = None, say: Say = print) -> Features:
    """Return numbers that describe the images of patients, each patient by the first run that did not learn from him.

    Of one run they are its embeddings: `film` of D numbers becomes `film_000` …. Of several runs they are likenesses,
    the cosines between the patient's embedding and those of up to 32 patients of the runs' cohort, the mean of these
    taken off. Of several studies of a patient the embeddings' mean counts.

    Args:
        runs: Fitted systems that make embeddings; several are those of the folds of one cohort.
        cohort: Whose images are described; None: those of the runs' own cohorts. Patients are known by their names.
        say: Takes a line for each run: whom it describes, and how many are left out since it learnt from them.

    Raises:
        ScanweaveError: A run makes no embeddings or does not tell whom it learnt from, its cohort is gone or changed,
            several runs are of several cohorts or systems, or a single run learnt from every patient.
    """
    found: Features = {}
    seen_by_all: set[str] = set()
    anchors = _anchors(runs) if len(runs) > 1 else None
    for system in runs:
        images, seen = cohort if cohort is not None else _own_cohort(system), system.learnt_from()
        patients = {*images.patients}
        seen_by_all = (seen_by_all if system is not runs[0] else patients) & seen
        if patients <= seen and len(runs) == 1:
            raise ScanweaveError(system.run.folder, "learnt from every patient, so it describes none", _ALL_FOLDS)
        made = _vectors(system, images, patients - seen - {*found}, say)
        left = f", {count(len(patients & seen), 'patient')} left out that it learnt from" if patients & seen else ""
        say(f"features: {system.run.folder.name} describes {count(len(made), 'patient')}{left}")
        found |= _own_axes(made) if anchors is None else _likenesses(made, _vectors(system, *anchors, say), anchors[1])
    if seen_by_all:
        say(f"note: {count(len(seen_by_all), 'patient')} not described: every run learnt from them. {_ALL_FOLDS}")
    return found


def _anchors(runs: Sequence[System[Any]]) -> tuple[Cohort, list[str]]:
    """Return the cohort of the runs and the patients of it to whom all are likened; the same for the same runs."""
    cohort = _own_cohort(runs[0])
    for system in runs[1:]:
        if system.name != runs[0].name or _own_cohort(system).digest != cohort.digest:
            words = f"is not of the system and cohort of {runs[0].run.folder.name}"
            raise ScanweaveError(system.run.folder, words, "Give runs of one system and cohort, one a fold")
    columns = [column for column in runs[0].plan.sources if column in cohort.frame]
    there = sorted(cohort.where(cohort.frame[columns].notna().any(axis=1)).patients)
    drawn = np.random.default_rng(0).permutation(len(there))[:MOST_ANCHORS]
    return cohort, [there[place] for place in sorted(drawn)]


def _vectors(system: System[Any], cohort: Cohort, patients: Collection[str], say: Say) -> Vectors:
    """Return the embeddings that a run makes of some patients of a cohort."""
    if EMBEDDING not in system.plan.targets:
        words = f"makes no embeddings ({system.name} has none)"
        raise ScanweaveError(system.run.folder, words, "Give a run of a system that does, such as classify")
    found: dict[str, list[Mapping[str, NDArray[np.floating]]]] = defaultdict(list)
    chosen = cohort.where(cohort.frame["patient"].isin(list(patients)))
    for one in system.predictions(chosen, [EMBEDDING], say=say):
        if one.error is not None:
            say(f"  note: {one.name} is not described: {one.error}")
        elif one.made is not None and one.study is not None and one.made.embeddings:
            found[one.study.patient].append(one.made.embeddings)
    return {patient: _mean(studies) for patient, studies in found.items()}


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


def _mean(studies: Sequence[Mapping[str, NDArray[np.floating]]]) -> dict[str, NDArray[np.float64]]:
    names = dict.fromkeys(name for one in studies for name in one)
    return {name: np.mean([one[name] for one in studies if name in one], axis=0, dtype=np.float64) for name in names}


def _own_axes(made: Vectors) -> Features:
    """Return the numbers of embeddings by column."""
    return {
        patient: {f"{name}_{k:03d}": float(value) for name, vector in own.items() for k, value in enumerate(vector)}
        for patient, own in made.items()
    }


def _likenesses(made: Vectors, others: Vectors, anchors: Sequence[str]) -> Features:
    """Return the cosines between patients and anchors in one network, the anchors' mean taken off, by column."""
    found: Features = {}
    for name in dict.fromkeys(name for own in others.values() for name in own):
        there = {anchor: others[anchor][name] for anchor in anchors if name in others.get(anchor, {})}
        middle = np.mean(list(there.values()), axis=0)
        axes = {anchor: _unit(vector - middle) for anchor, vector in there.items()}
        for patient, own in made.items():
            if name in own:
                direction = _unit(own[name] - middle)
                found.setdefault(patient, {}).update(
                    {
                        f"{name}_{k:03d}": float(direction @ axes[anchor])
                        for k, anchor in enumerate(anchors)
                        if anchor in axes
                    }
                )
    return found


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector of length 1; of one without length, itself: it is like nobody."""
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
