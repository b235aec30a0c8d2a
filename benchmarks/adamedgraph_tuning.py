"""The best of a method's trials: as many for every method, judged by an inner cross-validation of training patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from adamedgraph_data import Question
from sklearn.base import clone
from sklearn.model_selection import ParameterSampler, StratifiedGroupKFold
from sklearn.utils.validation import has_fit_parameter

from scanweave.measures.classification import log_loss


@dataclass(frozen=True)
class Budget:
    """Budget that every method may spend.

    Attributes:
        trials: How many are drawn; of a smaller grid all.
        folds: Of the inner cross-validation.
        seed: Of the draw and of the inner folds.
    """

    trials: int
    folds: int
    seed: int


def tuned(model: Any, grid: Any, question: Question, target: np.ndarray, rows: np.ndarray, budget: Budget) -> Any:
    """The best of the trials by inner log loss, fitted on all training rows.

    Args:
        model: What is tuned.
        grid: Values that its trials are drawn from.
        question: The table, and whose rows.
        target: Classes of all rows.
        rows: Training rows.
        budget: How many trials, and how they are judged.
    """
    tried = list(ParameterSampler(grid, budget.trials, random_state=budget.seed)) if grid else [{}]
    codes = {label: number for number, label in enumerate(np.unique(target[rows]))}
    classes = np.array([codes.get(label, -1) for label in target])
    losses = np.zeros(len(tried))
    if len(tried) > 1:
        splitter = StratifiedGroupKFold(budget.folds, shuffle=True, random_state=budget.seed)
        for fit, judge in splitter.split(rows, classes[rows], question.patients[rows]):
            for number, values in enumerate(tried):
                one = _fitted(model, values, question, classes, rows[fit])
                known = np.isin(classes[rows[judge]], one.classes_)
                places = np.searchsorted(one.classes_, classes[rows[judge]][known])
                shares = one.predict_proba(question.table.iloc[rows[judge]])[known]
                losses[number] += log_loss(places, np.asarray(shares, dtype=float).clip(1e-9, 1))
    return _fitted(model, tried[int(losses.argmin())], question, classes, rows)


def _fitted(model: Any, values: Any, question: Question, classes: np.ndarray, rows: np.ndarray) -> Any:
    one = clone(model).set_params(**values)
    whose = {"groups": question.patients[rows]} if has_fit_parameter(one, "groups") else {}
    return one.fit(question.table.iloc[rows], classes[rows], **whose)
