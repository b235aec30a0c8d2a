"""Evaluation of a detector: whether a film has a finding, and where; intervals by patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation as answers
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.tried import Tried
from scanweave.framework.localisation import measure_localisation
from scanweave.framework.trial import Trial
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.json_boxes import box_list, boxes_of_list
from scanweave.studies.study import Study
from scanweave.systems.detect.config import EvaluateOptions
from scanweave.systems.detect.fitted import FittedDetect
from scanweave.systems.detect.truth import study_truth


def evaluate(fitted: FittedDetect, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Read every film of which anything is known, and measure findings and boxes.

    Findings are measured on all films whose findings are known, boxes on those that were annotated.

    Args:
        fitted: The fitted run.
        trial: The films, and where the results go.
        options: Of the resampling, and what else is asked.

    Returns:
        The summary: a row a class and measure.

    Raises:
        ScanweaveError: Of no film anything is known.
    """
    refuse_unknown(fitted, trial, options)
    classes = fitted.plan.outputs

    def told(study: Study) -> dict[str, Any]:
        truth = study_truth(study.boxes, study.labels, classes)
        if not truth.is_known:
            raise ScanweaveError(study.id, "neither boxes nor a label of the run are known", "Predict it instead")
        read = fitted.read(study)
        drawn = box_list(truth.boxes) if truth.looked.all() and study.boxes is not None else None
        return {
            "patient": study.patient,
            "answers": [None if np.isnan(one) else float(one) for one in truth.answers],
            "shares": read.shares.tolist(),
            "truth": drawn,
            "found": box_list(read.boxes),
            "size": list(read.boxes.size or ()),
        }

    found = dict(trial.each(told, options))
    rows = list(found.values())
    tried = Tried(
        list(found),
        [row["patient"] for row in rows],
        np.array([[np.nan if one is None else one for one in row["answers"]] for row in rows], dtype=np.float64),
        np.array([row["shares"] for row in rows], dtype=np.float64),
        rows,
    )
    drawn = {name: row for name, row in found.items() if row["truth"] is not None}
    placed: list[dict[str, Any]] = []
    if drawn:
        placed = measure_localisation(
            trial,
            list(drawn),
            [row["patient"] for row in drawn.values()],
            [_boxes(row["truth"], row["size"]) for row in drawn.values()],
            [_boxes(row["found"], row["size"]) for row in drawn.values()],
            classes,
            seed=options.seed,
            repeats=options.repeats,
        )
    else:
        trial.say("note: no film was annotated, so boxes are not measured")
    summary = answers.measure(fitted, trial, tried, options, further=placed)
    analyse(fitted, fitted.run, trial, tried, options)
    return summary


def _boxes(rows: list[dict[str, Any]], size: list[int]) -> Boxes:
    return boxes_of_list(rows, (size[0], size[1]))
