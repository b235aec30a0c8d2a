"""Studies of which something is known, beside what is predicted of them, in memory and as a table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.answers import DIGITS


class Tried(NamedTuple):
    """Studies of which something is known, and what is predicted of them.

    Attributes:
        studies: Their names.
        patients: Whose they are.
        answers: Class numbers `(N, 1)` or findings `(N, K)`, NaN where not known.
        shares: Probabilities `(N, K)`.
        more: What else was found of each, in plain values.
    """

    studies: list[str]
    patients: list[str]
    answers: NDArray[np.float64]
    shares: NDArray[np.float64]
    more: list[Any]


def predictions_table(plan: AnswerPlan, tried: Tried) -> pd.DataFrame:
    """Return what is known and what is predicted, a row a study."""
    columns: dict[str, Any] = {"study": tried.studies, "patient": tried.patients}
    if plan.kind == "classes":
        names = np.array(plan.outputs, dtype=object)
        columns |= {"truth": names[tried.answers[:, 0].astype(int)], "predicted": names[tried.shares.argmax(1)]}
    else:
        columns |= {f"truth {name}": tried.answers[:, number] for number, name in enumerate(plan.outputs)}
    shares = tried.shares.round(DIGITS).T
    return pd.DataFrame(columns | {f"probability_{n}": row for n, row in zip(plan.outputs, shares, strict=True)})


def truth_and_score(plan: AnswerPlan, table: pd.DataFrame, output: str) -> tuple[NDArray[np.bool_], pd.Series]:
    """Return whether an output is true, and its probability, of the rows of a table in which it is known.

    Args:
        plan: The question.
        table: See `predictions_table`, as it was written or as it is read again, with texts.
        output: Class or finding.

    Returns:
        `(N,)`, and a series whose index is that of the rows.
    """
    scores = pd.to_numeric(table[f"probability_{output}"])
    if plan.kind == "classes":
        return (table["truth"].astype(str) == output).to_numpy(), scores
    truth = pd.to_numeric(table[f"truth {output}"], errors="coerce")
    known = truth.notna()
    return (truth[known] > 0).to_numpy(), scores[known]
