"""Measures of a validation while a network learns: log loss and AUROC."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.question import Question
from scanweave.measures.classification import auroc

LEAST_PROBABILITY = 1e-7
"""Of what is true, in the log loss of a validation."""


def validated(answers: NDArray[np.float64], shares: NDArray[np.float64], plan: AnswerPlan) -> dict[str, float]:
    """Return `log loss`, and `auroc` where there are studies of both sides of anything.

    Args:
        answers: What is known `(N, 1)` or `(N, K)`.
        shares: Probabilities `(N, K)`.
        plan: What they are of.
    """
    losses, areas = [], []
    for number, truth in enumerate(binary_truths(answers, plan)):
        known = ~np.isnan(truth)
        of_true = np.where(truth[known] > 0, shares[known, number], 1 - shares[known, number])
        if plan.kind == "classes":
            of_true = of_true[truth[known] > 0]  # the log loss of classes counts the true class alone
        losses.append(-np.log(np.maximum(of_true, LEAST_PROBABILITY)))
        if len(set(truth[known].tolist())) == 2:
            areas.append(auroc(truth[known] > 0, shares[known, number]))
    found = {"log loss": float(np.concatenate(losses).mean())}
    return {**found, "auroc": float(np.mean(areas))} if areas else found


def binary_truths(answers: NDArray[np.float64], plan: AnswerPlan | Question) -> list[NDArray[np.float64]]:
    """Return of each class or finding what is known of studies: 1, 0 or NaN, each `(N,)`."""
    if plan.kind == "findings":
        return list(answers.T)
    known = ~np.isnan(answers[:, 0])
    return [np.where(known, answers[:, 0] == number, np.nan) for number in range(len(plan.outputs))]
