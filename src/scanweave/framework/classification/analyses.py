"""More that an evaluation answers when it is asked: spared biopsies, subgroups, readers, another run; a table each."""

from __future__ import annotations

from pathlib import Path

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.compared_answers import (
    COMPARISON,
    READERS,
    compare_readers,
    compare_with_run,
    other_run,
    read_answers,
)
from scanweave.framework.classification.operating_points import validation_table
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.spared_biopsies import SPARING, among, spare_biopsies
from scanweave.framework.classification.subgroup_answers import INTERACTIONS, SUBGROUPS, divide_answers
from scanweave.framework.classification.tried import Tried, predictions_table
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.wording import count, nearest

TABLES = (SPARING, SUBGROUPS, INTERACTIONS, READERS, COMPARISON)


def refuse_unknown(fitted: Answering, trial: Trial, options: EvaluateOptions) -> None:
    """Refuse what cannot be answered, before the first study is tried.

    Raises:
        ScanweaveError: An output, a variable, a file or a run is not there, or the other run answers another question.
    """
    outputs, variables = fitted.plan.outputs, trial.cohort.names("table")
    if options.sparing and options.sparing not in outputs:
        raise ScanweaveError("sparing", f"the run does not tell '{options.sparing}'", nearest(options.sparing, outputs))
    for name in options.by:
        if name not in variables:
            raise ScanweaveError("by", f"'{name}' is no variable of the cohort", nearest(name, variables))
    if options.among:
        among(Cohort.open(trial.cohort.folder), options.among)
    if options.readers is not None:
        read_answers(options.readers, trial.cohort.studies)
    if options.against is not None:
        other_run(fitted, trial, Path(options.against))


def analyse(fitted: Answering, run: Run, trial: Trial, tried: Tried, options: EvaluateOptions) -> None:
    """Answer what the options ask beyond the summary, a table each in the folder of the trial.

    Args:
        fitted: The fitted run.
        run: Its folder, which keeps what was predicted of its validation studies.
        trial: Where the results go.
        tried: What is predicted and what is known.
        options: What is asked.

    Raises:
        ScanweaveError: A patient chose the threshold that he is tried with, or too few are left for an answer.
    """
    table = predictions_table(fitted.plan, tried)
    for name in TABLES:
        (trial.folder / name).unlink(missing_ok=True)  # of an earlier call, of other studies perhaps
    if options.sparing or options.readers is not None or options.against is not None:
        _refuse_choosers(run, tried)
    if options.sparing:
        spare_biopsies(fitted, run, trial, table, options)
    if options.by:
        divide_answers(fitted, trial, table, options)
    if options.readers is not None:
        compare_readers(fitted, run, trial, table, options)
    if options.against is not None:
        compare_with_run(fitted, trial, table, options)


def _refuse_choosers(run: Run, tried: Tried) -> None:
    """Refuse to judge a threshold by patients that it was chosen on."""
    both = set(validation_table(run)["patient"]) & set(tried.patients)
    if both:
        chosen = f"{count(len(both), 'patient')} of those tried chose the thresholds in validation"
        raise ScanweaveError("evaluate", chosen, "Try others: --part test, or another cohort")
