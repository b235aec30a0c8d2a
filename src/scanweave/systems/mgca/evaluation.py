"""Evaluation: what all systems of images and reports measure, and whether film and report have the same prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import normalized_mutual_info_score

from scanweave.framework.localisation.evaluation import summary_row
from scanweave.framework.reported.evaluation import FoundPairs, Row, evaluate_pairs
from scanweave.framework.reported.settings import EvaluateOptions
from scanweave.framework.reported.zero_shot import unit
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.systems.mgca.fitted import FittedMgca

AGREE, SHARED = "same prototype", "shared information with the findings (NMI)"
PROTOTYPES = "prototypes of film and report"


def evaluate(fitted: FittedMgca, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Measure findings, retrieval and prototypes; see `evaluate_pairs`."""

    def more(pairs: FoundPairs, found: Mapping[str, Any]) -> list[Row]:
        return _of_prototypes(fitted, trial, pairs, options)

    return evaluate_pairs(fitted, trial, options, more=more)


def _of_prototypes(fitted: FittedMgca, trial: Trial, pairs: FoundPairs, options: EvaluateOptions) -> list[Row]:
    """Return how often a film and its report have the same prototype, and what these tell of the known findings.

    The control of the first is what shuffled pairs would reach; of the second, a film's with shuffled findings.
    """
    if not fitted.config.objective.prototype:
        return []
    names = pairs.studies
    centres = unit(fitted.reader.network.prototypes.cpu().double().numpy())  # averaged ones are shorter than 1
    films, texts = ((side @ centres.T).argmax(axis=1) for side in (pairs.images, pairs.reports))
    same = bootstrap((films == texts).astype(float), pairs.patients, seed=options.seed, repeats=options.repeats)
    shares = [np.bincount(side, minlength=len(centres)) / len(side) for side in (films, texts)]
    rows = [summary_row(PROTOTYPES, AGREE, same, len(names), float(shares[0] @ shares[1]))]
    frame, labels = trial.cohort.frame.set_index("study"), [f"label:{name}" for name in fitted.plan.labels]
    if labels and all(label in frame for label in labels) and frame.loc[names, labels].notna().all(axis=None):
        sets = [" ".join(map(str, row)) for row in frame.loc[names, labels].to_numpy()]
        shuffled = np.random.default_rng(options.seed).permutation(sets)
        value, control = (float(normalized_mutual_info_score(truth, films)) for truth in (sets, shuffled))
        alone = Interval(value, float("nan"), float("nan"), same.n)
        rows.append(summary_row(PROTOTYPES, SHARED, alone, len(names), control))
    return rows
