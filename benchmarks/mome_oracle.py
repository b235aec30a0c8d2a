"""Logistic regression on means over the true lesion: what is told without a network, by who knows where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mome_fits import BREASTS, LABEL, MODALITIES, TESTED, Answers
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from scanweave.measures.classification import log_loss
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.simulate.breast.subject import simulate_subject
from scanweave.simulate.subject import Subject
from scanweave.systems.mome.subsets import mask_of, subset_names

Array = NDArray[np.float64]
Features = dict[str, Array]

ORACLE = "regression on lesion means"
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Of the regression (C); the one that tells the validation patients best is taken."""


def oracle(seed: int, tier: Mapping[str, Any]) -> Answers:
    """Fit a model for every subset to complete patients, those that MOME learns from with nothing absent."""
    settings = BreastSettings(**BREASTS, spacing=tier["spacing"], crop=tier["crop"])
    learnt, known = measured(seed, tier["learnt"], settings)
    tested, truth = measured(seed + TESTED, tier["tested"], settings)
    validates = np.arange(len(known)) < tier["validated"]
    values = np.empty((len(truth), 2 ** len(MODALITIES)))
    values[:, 0] = np.log(known.mean() / (1 - known.mean()))
    most = 0
    for names in subset_names(MODALITIES):
        given = joined(learnt, names)
        models = [regression(given[~validates], known[~validates], strength) for strength in STRENGTHS]
        losses = [log_loss(known[validates], one.predict_proba(given[validates])[:, 1]) for one in models]
        best = models[int(np.argmin(losses))]
        values[:, mask_of(names, MODALITIES)] = best.decision_function(joined(tested, names))
        most = max(most, best[-1].coef_.size + 1)
    return Answers(ORACLE, seed, values, truth, most)


def measured(seed: int, subjects: int, settings: BreastSettings) -> tuple[Features, NDArray[np.bool_]]:
    """Return the features of patients by modality `(N, F)`, and the truth `(N,)`."""
    every = [simulate_subject(seed, number, settings) for number in range(subjects)]
    rows = [features(one) for one in every]
    truth = np.array([one["truth"]["outcomes"]["labels"][LABEL] == 1 for one in every])
    return {name: np.stack([row[name] for row in rows]) for name in MODALITIES}, truth


def features(subject: Subject) -> dict[str, Array]:
    """Return what a modality shows in the lesion, `(F,)` each, in logarithms.

    Of `dce` the rise to the second minute and the change from there to the last frame, of `dwi` the fall over all
    b-values, of others the level against the breast beside the lesion.
    """
    lesion = subject["masks"]["lesion"] == 1
    beside = (subject["masks"]["breast"] > 0) & ~lesion
    means = {name: np.log(scan[lesion].mean(axis=0)) for name, scan in subject["scans"].items()}
    dce, dwi = means["dce"], means["dwi"]
    level = {name: means[name] - np.log(subject["scans"][name][beside].mean()) for name in ("t2", "fst1")}
    table = subject["truth"]["outcomes"]["variables"]
    return {
        "dce": np.array([dce[2] - dce[0], dce[-1] - dce[2]]),
        "dwi": np.array([dwi[0] - dwi[-1]]),
        **{name: np.array([value]) for name, value in level.items()},
        "table": np.array([np.log(table["marker_u_per_ml"]), table["height_cm"]]),
    }


def joined(found: Features, names: Sequence[str]) -> Array:
    """Return the features of a subset side by side."""
    return np.concatenate([found[name] for name in names], axis=1)


def regression(given: Array, known: NDArray[np.bool_], strength: float) -> Pipeline:
    """Return a fitted regression on features, their squares and products."""
    terms = PolynomialFeatures(2, include_bias=False)
    model = LogisticRegression(C=strength, max_iter=2_000)
    return make_pipeline(StandardScaler(), terms, StandardScaler(), model).fit(given, known)
