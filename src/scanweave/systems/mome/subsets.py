"""Answers from every subset of the modalities that a study has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.classification.tried import Tried
from scanweave.framework.classification.validation import binary_truths
from scanweave.measures.classification import auroc
from scanweave.measures.comparisons import wald
from scanweave.measures.delong import auroc_interval, aurocs_with_covariance
from scanweave.measures.shapley import shapley_values
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.inputs import StudyInput

MOST_MODALITIES = 8
"""Whose subsets are all tried: 255 answers a study."""
SUBSETS, AREAS = "subsets.csv", "auroc_contributions.csv"


def refuse_many(modalities: Sequence[str]) -> None:
    """Refuse to try all subsets of too many modalities.

    Raises:
        ScanweaveError: There are more than eight.
    """
    if len(modalities) > MOST_MODALITIES:
        reason = f"has {len(modalities)} modalities, of which 2^{len(modalities)} subsets would be tried"
        raise ScanweaveError("modalities", reason, f"Fit a run of at most {MOST_MODALITIES}: --scans, --variables")


def subset_names(modalities: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield every subset with any modality in it, by size, in their order."""
    for size in range(1, len(modalities) + 1):
        yield from combinations(modalities, size)


def mask_of(names: Sequence[str], modalities: Sequence[str]) -> int:
    """Return the bit mask of a subset: bit i for modality i."""
    return sum(2 ** modalities.index(name) for name in names)


def subset_logits(diagnoser: Diagnoser, study: StudyInput) -> NDArray[np.float64]:
    """Return the logits from every subset of a study's modalities, by bit mask `(2^M, K)`.

    NaN where a modality of the subset is absent, and of the empty subset, which the network does not answer.
    """
    modalities, outputs = diagnoser.plan.modalities, len(diagnoser.plan.outputs)
    found = np.full((2 ** len(modalities), outputs), np.nan)
    asked = [names for names in subset_names(modalities) if set(names) <= set(study.there)]
    made = diagnoser.logits(study.only(names) for names in asked)
    for names, logits in zip(asked, made, strict=True):
        found[mask_of(names, modalities)] = logits
    return found


def log_odds(logits: NDArray[np.float64], plan: AnswerPlan) -> NDArray[np.float64]:
    """Return the log-odds of each output `(…, K)`: of a class against all others together."""
    if plan.kind == "findings":
        return logits
    others = [np.delete(logits, number, axis=-1) for number in range(logits.shape[-1])]
    rest = np.stack([logsumexp(one, axis=-1) for one in others], axis=-1)
    found: NDArray[np.float64] = logits - rest
    return found


def prior_log_odds(plan: AnswerPlan) -> NDArray[np.float64]:
    """Return the log-odds of each output in training `(K,)`: the answer without any modality."""
    return log_odds(plan.prior_logits, plan)


def subset_table(
    values: NDArray[np.float64], tried: Tried, modalities: Sequence[str], plan: AnswerPlan
) -> pd.DataFrame:
    """Return how well each output is told from each subset: AUROC with DeLong's interval, of the studies that hold it.

    Args:
        values: Log-odds `(N, 2^M, K)`, see `subset_logits` and `log_odds`.
        tried: What is known of the studies.
        modalities: In the order of the bits.
        plan: The question.
    """
    rows = []
    truths = binary_truths(tried.answers, plan)
    for names in subset_names(modalities):
        mine = values[:, mask_of(names, modalities)]
        for number, output in _shown(plan):
            known = ~np.isnan(truths[number]) & ~np.isnan(mine[:, number])
            positive, score = truths[number][known] > 0, mine[known, number]
            row = {"modalities": "+".join(names), "count": len(names), "output": output, "studies": int(known.sum())}
            row["patients"] = len({p for p, there in zip(tried.patients, known, strict=True) if there})
            both = bool(positive.any()) and not bool(positive.all())
            patients = [p for p, there in zip(tried.patients, known, strict=True) if there]
            found = _area(positive, score, patients) if both else (np.nan, np.nan, np.nan)
            rows.append({**row, **dict(zip(("AUROC", "low", "high"), found, strict=True))})
    return pd.DataFrame(rows)


def area_contributions(
    values: NDArray[np.float64], tried: Tried, modalities: Sequence[str], plan: AnswerPlan
) -> pd.DataFrame:
    """Return what each modality adds to the AUROC of each output, averaged over all orders in which they can come.

    Shapley values of the game v(S) = AUROC from S, v(∅) = 0.5: they add up to the AUROC from all less 0.5. All subsets
    are measured on the same patients, those who lack nothing. The values are linear in the AUROCs, so their spread
    follows from DeLong's covariance.

    Args:
        values: As in `subset_table`.
        tried: What is known of the studies.
        modalities: In the order of the bits.
        plan: The question.

    Returns:
        A row an output and modality; of an output only where two patients of either side lack nothing.
    """
    rows = []
    truths = binary_truths(tried.answers, plan)
    share_of = shapley_values(np.eye(2 ** len(modalities)))[1:]  # (2^M − 1, M): how each AUROC counts
    for number, output in _shown(plan):
        known = ~np.isnan(truths[number]) & ~np.isnan(values[:, -1, number])
        positive, scores = truths[number][known] > 0, values[known, 1:, number].T
        patients = [p for p, there in zip(tried.patients, known, strict=True) if there]
        if min(len({p for p, one in zip(patients, positive, strict=True) if one == side}) for side in (0, 1)) < 2:
            continue
        areas, covariance, count = aurocs_with_covariance(positive, list(scores), patients)
        added = shapley_values(np.concatenate([[0.5], areas]))
        variances = np.einsum("sm,st,tm->m", share_of, covariance, share_of)
        for name, value, variance in zip(modalities, added, variances, strict=True):
            found = wald(float(value), float(variance), count, limit=1.0).difference
            about = {"output": output, "modality": name, "patients": count}
            rows.append({**about, "contribution": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["output", "modality", "patients", "contribution", "low", "high"])


def _shown(plan: AnswerPlan) -> list[tuple[int, str]]:
    """Return number and name of the outputs that are measured: of two classes the second."""
    outputs = list(enumerate(plan.outputs))
    return outputs[1:] if plan.kind == "classes" and len(outputs) == 2 else outputs


def _area(
    positive: NDArray[np.bool_], score: NDArray[np.float64], patients: Sequence[str]
) -> tuple[float, float, float]:
    if min(positive.sum(), (~positive).sum()) < 2:
        return auroc(positive, score), np.nan, np.nan
    found = auroc_interval(positive, score, patients)
    return found.value, found.low, found.high
