"""Probe of features: whether a plain classifier can tell the site of a film from what a run makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scanweave.audit.film_changes import Image
from scanweave.audit.marked_films import Film, FilmPool
from scanweave.audit.shortcut_tables import told
from scanweave.engine.saved_plan import EMBEDDING
from scanweave.framework.classification.answers import Answering
from scanweave.measures.bootstrap import Interval, bootstrap_measure
from scanweave.measures.classification import multiclass_auroc
from scanweave.studies.cohort import Cohort
from scanweave.studies.patient_strata import find_heading
from scanweave.studies.study import Study

USUAL = "site"
"""Name of the variable where none is asked for."""
LEAST_PATIENTS = 5
"""Patients of a site below which it is left out: each of as many folds then tests one."""
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
"""Of grey values, in the control."""
FILMS_PER_FILM = 4
"""Films that are probed, in those of a trial of a mark: a probe needs more, and asks each once."""


class Probed(NamedTuple):
    """Hold how well the site is told.

    Attributes:
        features: AUROC from what the run makes of films.
        statistics: From plain statistics of the same films.
        excess: The first less the second.
        sites: Names of the sites.
        films: Number of films.
    """

    features: Interval
    statistics: Interval
    excess: Interval
    sites: tuple[str, ...]
    films: int


def site_values(cohort: Cohort, asked: str) -> dict[str, str]:
    """Return the site of each study of which it is known; none where the cohort has no site, and none is asked for.

    Raises:
        ScanweaveError: The variable that is asked for is not there.
    """
    frame = cohort.frame
    if not asked and f"table:{USUAL}" not in frame:
        return {}
    values = frame[find_heading(frame, asked) if asked else f"table:{USUAL}"].astype(object)
    return {str(study): str(value) for study, value in zip(frame["study"], values, strict=True) if not pd.isna(value)}


def probed_films(pool: FilmPool, sites: Mapping[str, str], most: int) -> list[Film]:
    """Return the films to probe: of patients of one site only, of sites with enough patients; empty if too few.

    Args:
        pool: The films.
        sites: The site of each study.
        most: Films, at most.
    """
    films = list(pool.films([name for name in pool.classes if name in sites], most))
    rows = [(film.study.patient, sites[film.study.id]) for film in films]
    table = pd.DataFrame(rows, columns=["patient", "site"])
    kept = table.groupby("patient")["site"].transform("nunique") == 1
    patients = table[kept].groupby("site")["patient"].nunique()
    kept &= table["site"].isin(patients[patients >= LEAST_PATIENTS].index)
    if table["site"][kept].nunique() < 2:
        return []
    return [film for film, there in zip(films, kept, strict=True) if there]


def embedding_of(run: Answering, study: Study) -> NDArray[np.float64]:
    """Return what a run makes of a study `(D,)`."""
    made = run.predict(study, [EMBEDDING]).embeddings  # type: ignore[attr-defined]  # systems have it, see `has_embedding`
    return np.asarray(next(iter(made.values())), dtype=np.float64)


def has_embedding(run: Answering) -> bool:
    """Tell whether a run gives its features."""
    return EMBEDDING in run.plan.targets and hasattr(run, "predict")


def plain_statistics(image: Image) -> NDArray[np.float64]:
    """Return mean, deviation and percentiles of the grey values of a film `(X, Y)`."""
    return np.array([image.mean(), image.std(), *np.percentile(image, PERCENTILES)])


def probe(
    features: NDArray[np.float64],
    statistics: NDArray[np.float64],
    sites: Sequence[str],
    patients: Sequence[str],
    seed: int,
) -> Probed:
    """Tell sites by logistic regression of standardised features, cross-validated by patient; AUROC, each to the rest.

    Intervals come from resampling patients within their sites; folds are not drawn anew.

    Args:
        features: What a run makes of films `(N, D)`.
        statistics: Plain statistics of the same films `(N, S)`.
        sites: Of each film, two or more.
        patients: Of each film, each of one site.
        seed: Of folds and resamples.
    """
    names, truth = np.unique(list(sites), return_inverse=True)
    shares = [_shares(values, truth, patients, seed) for values in (features, statistics)]

    def excess(classes: NDArray[np.int64], first: Any, second: Any) -> float:
        return multiclass_auroc(classes, first) - multiclass_auroc(classes, second)

    drawn: dict[str, Any] = {"strata": list(sites), "method": "percentile", "seed": seed, "repeats": 1000}
    found = [bootstrap_measure(multiclass_auroc, [truth, one], patients, **drawn) for one in shares]
    beyond = bootstrap_measure(excess, [truth, *shares], patients, **drawn)
    return Probed(told(found[0]), told(found[1]), told(beyond), tuple(names.tolist()), len(truth))


def _shares(
    values: NDArray[np.float64], truth: NDArray[np.int64], patients: Sequence[str], seed: int
) -> NDArray[np.float64]:
    """Return the probability of each site, of each film by a regression that saw none of its patient `(N, C)`."""
    folds = StratifiedGroupKFold(LEAST_PATIENTS, shuffle=True, random_state=seed)
    shares = np.zeros((len(truth), truth.max() + 1))
    for train, test in folds.split(values, truth, list(patients)):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
        model.fit(values[train], truth[train])
        shares[np.ix_(test, model.classes_)] = model.predict_proba(values[test])
    return shares
