"""Thresholds of a run, chosen on its validation studies and frozen: `operating_points.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.tried import Tried, predictions_table
from scanweave.framework.classification.validation import binary_truths
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.run_outputs import result_table
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point
from scanweave.report.saving import save_table
from scanweave.wording import count

FILE, VALIDATION = "operating_points.json", "validation.csv"
HALF = OperatingPoint(0.5, "one half, since no validation study decides", 0)
_ADVICE = "Restore the file, or fit again"


def choose_points(
    plan: AnswerPlan, answers: NDArray[np.float64], shares: NDArray[np.float64]
) -> dict[str, OperatingPoint]:
    """Return the threshold of the highest Youden index for each finding, or for the second of two classes.

    Of more classes the most probable one is called, without thresholds.

    Args:
        plan: What the probabilities are of.
        answers: What is known of the validation studies `(N, 1)` or `(N, K)`.
        shares: Their probabilities `(N, K)`.
    """
    truths = binary_truths(answers, plan)
    if plan.kind == "classes":
        if len(plan.outputs) > 2:
            return {}
        return {plan.outputs[1]: _chosen(truths[1], shares[:, 1])}
    return {name: _chosen(truths[k], shares[:, k]) for k, name in enumerate(plan.outputs)}


def _chosen(truth: NDArray[np.float64], shares: NDArray[np.float64]) -> OperatingPoint:
    known = ~np.isnan(truth)
    if len(set(truth[known].tolist())) < 2:
        return HALF
    return choose_operating_point(truth[known] > 0, shares[known])


def freeze_points(
    fit: CohortFit[Any],
    plan: AnswerPlan,
    studies: Sequence[str],
    answers: NDArray[np.float64],
    shares: Callable[[], NDArray[np.float64]],
) -> None:
    """Choose the operating points of a run on its validation studies, and tell and keep them; once.

    What was predicted of these studies is kept too, in `validation.csv`: other thresholds are chosen on it later.

    Args:
        fit: The fit, whose network is trained.
        plan: The question.
        studies: Names of the validation studies.
        answers: What is known of them `(N, 1)` or `(N, K)`.
        shares: Returns their probabilities by the weights that were kept `(N, K)`.
    """
    if (fit.run.folder / FILE).exists() or not fit.run.main:
        return
    predicted = shares()
    owners = fit.cohort.frame.set_index("study")["patient"].astype(str)
    tried = Tried(list(studies), [owners[name] for name in studies], answers, predicted, [])
    save_table(predictions_table(plan, tried), fit.run.folder / VALIDATION)
    points = choose_points(plan, answers, predicted)
    for name, point in points.items():
        on = count(point.rows, "validation study", "validation studies")
        fit.say(f"operating point: {name} from {point.threshold:.6g} on, {point.rule}; {on}")
    save_points(fit.run.folder, points)


def validation_table(run: Run) -> pd.DataFrame:
    """Return what a run predicted of its validation studies, see `predictions_table`.

    Raises:
        ScanweaveError: It is absent: the run is of an earlier version.
    """
    names = {"truth": str, "study": str, "patient": str}
    return result_table(run.folder, VALIDATION, dtype=names, keep_default_na=False)


def save_points(run: Path, points: Mapping[str, OperatingPoint], file: str = FILE) -> None:
    """Write operating points into a run."""
    write_json(run / file, {name: asdict(point) for name, point in points.items()})


def load_points(run: Path, file: str = FILE) -> dict[str, OperatingPoint]:
    """Return the operating points of a run.

    Raises:
        ScanweaveError: The file is absent or damaged.
    """
    found = read_json(run / file, _ADVICE)
    try:
        return {str(name): OperatingPoint(float(p["threshold"]), p["rule"], p["rows"]) for name, p in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ScanweaveError(run / file, f"damaged ({error!r})", _ADVICE) from error
