"""Answers of a run by subgroup of its patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from scanweave.framework.classification.answers import Answering
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.classification.tried import truth_and_score
from scanweave.framework.table_columns import plain_column
from scanweave.framework.trial import Trial
from scanweave.measures.subgroup_interaction import subgroup_aurocs
from scanweave.report.saving import save_table

SUBGROUPS, INTERACTIONS = "subgroups.csv", "interactions.csv"


def divide_answers(fitted: Answering, trial: Trial, table: pd.DataFrame, options: EvaluateOptions) -> None:
    """Write the AUROC of each subgroup, `subgroups.csv`, and whether they differ, `interactions.csv`.

    Args:
        fitted: The fitted run.
        trial: Where the tables go.
        table: What is predicted and known, see `predictions_table`.
        options: Variables of the table; numbers are divided at their median.

    Raises:
        ScanweaveError: Too few patients are there to compare.
    """
    frame = trial.cohort.frame.set_index("study")
    groups, tests = [], []
    for output in _shown_outputs(fitted):
        truth, scores = truth_and_score(fitted.plan, table, output)
        rows = table.loc[scores.index]
        levels = {name: _levels(frame[f"table:{name}"].loc[rows["study"]]) for name in options.by}
        told, test = subgroup_aurocs(
            levels, list(rows["patient"]), truth, scores.to_numpy(), seed=options.seed, permutations=options.repeats
        )
        names = {"value": "AUROC", "low": "AUROC low", "high": "AUROC high"}
        groups.append(told.rename(columns=names).assign(output=output))
        tests.append(test.assign(output=output))
        for row in test.to_dict("records"):
            found = f"{row['levels']} subgroups compared, p {row['p']:.3f}"
            few = "no two subgroups have patients enough to be compared"
            trial.say(f"{output} by {row['variable']}: {few if np.isnan(row['p']) else found}")
    save_table(_output_first(pd.concat(groups)), trial.folder / SUBGROUPS)
    save_table(_output_first(pd.concat(tests)), trial.folder / INTERACTIONS)


def _levels(column: pd.Series) -> list[Any]:
    """The levels of a variable; of numbers the halves below and from the median on."""
    plain = plain_column(column)
    if not pd.api.types.is_numeric_dtype(plain.dtype) or plain.nunique() <= 2:
        return list(plain)
    middle = float(plain.median())
    halves = np.where(plain < middle, f"below {middle:g}", f"from {middle:g} on").astype(object)
    return list(pd.Series(halves).where(plain.notna().to_numpy(), None))


def _shown_outputs(fitted: Answering) -> Iterator[str]:
    outputs = fitted.plan.outputs
    yield from outputs[1:] if fitted.plan.kind == "classes" and len(outputs) == 2 else outputs


def _output_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["output", *(name for name in table if name != "output")]]
