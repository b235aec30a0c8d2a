"""Evaluation of answers, and of those from every subset of the modalities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.evaluation import measure, try_studies
from scanweave.framework.classification.tried import Tried
from scanweave.framework.trial import Trial
from scanweave.report.saving import save_table
from scanweave.studies.study import Study
from scanweave.systems.mome.config import MALIGNANCY, EvaluateOptions
from scanweave.systems.mome.fitted import FittedMome
from scanweave.systems.mome.subsets import (
    AREAS,
    MOST_MODALITIES,
    SUBSETS,
    area_contributions,
    log_odds,
    refuse_many,
    subset_logits,
    subset_table,
)


def evaluate(fitted: FittedMome, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Measure answers from all modalities that studies have, and from every subset of them.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: What is asked beside the summary.

    Returns:
        The summary, see `framework.classification.evaluation.measure`.

    Raises:
        ScanweaveError: There are too many modalities for all subsets; and as there, and in `analyse`.
    """
    plan = fitted.plan
    refuse_unknown(fitted, trial, options)
    subsets = len(plan.modalities) <= MOST_MODALITIES if options.subsets is None else options.subsets
    if options.subsets:
        refuse_many(plan.modalities)
    elif not subsets and options.subsets is None:
        trial.say(f"subsets: not tried, since there are {len(plan.modalities)} modalities")

    def more(study: Study) -> list[list[float | None]] | None:
        if not subsets:
            return None
        logits = subset_logits(fitted.diagnoser, fitted.input(study))
        return [[None if value != value else value for value in row] for row in logits.tolist()]

    tried = try_studies(fitted, trial, more, subsets=subsets)
    for name in (SUBSETS, AREAS):
        (trial.folder / name).unlink(missing_ok=True)
    if subsets:
        values = log_odds(np.array(tried.more, dtype=np.float64), plan)
        save_table(subset_table(values, tried, plan.modalities, plan), trial.folder / SUBSETS)
        save_table(area_contributions(values, tried, plan.modalities, plan), trial.folder / AREAS)
    summary = measure(fitted, trial, tried, options)
    if fitted.config.preset == MALIGNANCY.preset and len(fitted.points) == 1 and not options.sparing:
        _spare_unasked(fitted, trial, tried, options)
    else:
        analyse(fitted, fitted.run, trial, tried, options)
    return summary


def _spare_unasked(fitted: FittedMome, trial: Trial, tried: Tried, options: EvaluateOptions) -> None:
    """Say which biopsies would be spared, as the preset `malignancy` does; where that cannot be judged, say why."""
    try:
        asked = options.model_copy(update={"sparing": next(iter(fitted.points))})
        analyse(fitted, fitted.run, trial, tried, asked)
    except ScanweaveError as error:
        trial.say(f"spared biopsies are not judged: {error}")
        analyse(fitted, fitted.run, trial, tried, options)
