"""More that an evaluation answers when it is asked: spared biopsies, subgroups, readers, another run; a table each."""

from __future__ import annotations

from scanweave.engine.run import Run
from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.compared_answers import compare_readers, compare_with_run
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.spared_biopsies import spare_biopsies
from scanweave.framework.classification.subgroup_answers import divide_answers
from scanweave.framework.classification.tried import Tried, predictions_table
from scanweave.framework.trial import Trial


def analyse(fitted: Answering, run: Run, trial: Trial, tried: Tried, options: EvaluateOptions) -> None:
    """Answer what the options ask beyond the summary, a table each in the folder of the trial.

    Args:
        fitted: The fitted run.
        run: Its folder, which keeps what was predicted of its validation studies.
        trial: Where the results go.
        tried: What is predicted and what is known.
        options: What is asked.

    Raises:
        ScanweaveError: An output, a variable or a file is not there, or too few studies are left for an answer.
    """
    table = predictions_table(fitted.plan, tried)
    if options.sparing:
        spare_biopsies(fitted, run, trial, table, options)
    if options.by:
        divide_answers(fitted, trial, table, options)
    if options.readers is not None:
        compare_readers(fitted, run, trial, table, options)
    if options.against is not None:
        compare_with_run(fitted, trial, table, options)
