"""Evaluation of a detector: whether a film has a finding, and where; intervals by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation as answers
from scanweave.framework.classification.analyses import analyse, refuse_unknown
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import Tried
from scanweave.framework.localisation.compared import compare_localisation, other_detections
from scanweave.framework.localisation.detections import plain_boxes, read_boxes
from scanweave.framework.localisation.evaluation import forget_localisation, measure_localisation
from scanweave.framework.trial import Trial
from scanweave.studies.study import Study
from scanweave.systems.detect.fitted import FittedDetect
from scanweave.systems.detect.truth import film_boxes, study_truth
from scanweave.wording import count


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
    if options.against is not None:
        other_detections(trial, Path(options.against))
    classes = fitted.plan.outputs

    def told(study: Study) -> dict[str, Any]:
        truth = study_truth(study.boxes, study.labels, classes)
        if not truth.is_known:
            raise ScanweaveError(study.id, "neither boxes nor a label of the run are known", "Predict it instead")
        film = fitted.film(study)
        truth = truth._replace(boxes=film_boxes(truth.boxes, film.size, study.id))
        read = fitted.reader.read([film])[0]
        annotated = study.boxes is not None and truth.is_complete
        return {
            "patient": study.patient,
            "answers": [None if np.isnan(one) else float(one) for one in truth.answers],
            "shares": read.shares.tolist(),
            "boxes": plain_boxes(truth.boxes, read.boxes) if annotated else None,
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
    placed = _placed(trial, found, classes, [fitted.plan.scan], options)
    summary = answers.measure(fitted, trial, tried, options, more=placed)
    analyse(fitted, fitted.run, trial, tried, options)
    if placed and options.against is not None:
        compare_localisation(trial, Path(options.against), seed=options.seed, repeats=options.repeats)
    return summary


def _placed(
    trial: Trial,
    found: Mapping[str, dict[str, Any]],
    classes: Sequence[str],
    scans: Sequence[str],
    options: EvaluateOptions,
) -> list[dict[str, Any]]:
    """Measure the boxes of the films that were annotated; none of them, and there is nothing to measure."""
    drawn = {name: row for name, row in found.items() if row["boxes"] is not None}
    both = [read_boxes(row["boxes"]) for row in drawn.values()]
    if not any((~np.asarray(truth.ignored)).any() for truth, _ in both):
        forget_localisation(trial.folder)
        trial.say("note: boxes are not measured, since no film tried has one that was drawn")
        return []
    if len(drawn) < len(found):
        trial.say(f"boxes: measured on {count(len(drawn), 'film')}; of the others the boxes are not all there")
    patients = [row["patient"] for row in drawn.values()]
    truths, marked = ([pair[side] for pair in both] for side in (0, 1))
    settings = {"seed": options.seed, "repeats": options.repeats}
    return measure_localisation(trial, list(drawn), patients, truths, marked, classes, scans=scans, **settings)
