"""Answers of a run on a study: labels, and the probabilities behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.measures.operating_points import OperatingPoint
from scanweave.studies.study import Study

DIGITS = 6
"""Of a probability in a table."""


class Answering(Protocol):
    """A fitted run that tells classes or findings."""

    @property
    def plan(self) -> AnswerPlan:
        """The question."""
        ...

    @property
    def points(self) -> Mapping[str, OperatingPoint]:
        """Operating points by class or finding, frozen on validation studies."""
        ...

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each class, or of each finding `(K,)`."""
        ...


def told(run: Answering, shares: NDArray[np.float64], labels: Sequence[str]) -> dict[str, Any]:
    """Return the labels of a study, and a table of probabilities: arguments of `Study.answer`.

    A finding is called by its operating point, of classes the most probable one.

    Args:
        run: The fitted run.
        shares: Probabilities `(K,)`.
        labels: Those that are asked for.
    """
    plan, by_name = run.plan, dict(zip(run.plan.outputs, shares.tolist(), strict=True))
    if plan.kind == "classes":
        table = {f"probability_{name}": round(share, DIGITS) for name, share in by_name.items()}
        return {"labels": {plan.labels[0]: max(by_name, key=by_name.__getitem__)}, "table": table}
    called = {name: int(by_name[name] >= run.points[name].threshold) for name in labels}
    return {"labels": called, "table": {f"probability_{name}": round(by_name[name], DIGITS) for name in labels}}
