"""AdaMedGraph on real tables: repeated nested cross-validation against plain, boosted and single-graph models.

All preprocessing, thresholds and course rules are learnt inside the fold; patients are never split; every method draws
the same number of trials, judged by an inner cross-validation. The bar, written down before any run: AUROC not below
that of the boosted MLP, which has no graph. The figures of all others stand beside it. It is published either way.
"""

from __future__ import annotations

import time
import warnings
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from adamedgraph_data import QUESTIONS, Question
from adamedgraph_models import CONTROL, OURS, graph_methods, methods
from common import Claim, benchmark_arguments, one_thread_each, write_results
from sklearn.base import clone
from sklearn.model_selection import ParameterSampler, StratifiedGroupKFold

from scanweave.measures.calibration import calibration_error
from scanweave.measures.classification import balanced_accuracy, brier, log_loss, multiclass_auroc
from scanweave.measures.comparisons import compare_resampled

REAL = tuple(QUESTIONS)[1:]
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "questions": ("breast cancer",), "folds": 2, "trials": 1, "epochs": 5, "most": 120},
    "proof": {"seeds": (0, 1), "questions": REAL, "folds": 5, "trials": 4, "epochs": 60, "most": 1_000},
    "study": {"seeds": tuple(range(5)), "questions": REAL, "folds": 5, "trials": 12, "epochs": 60, "most": 10_000},
}
INNER = 3
MEASURES = ("AUROC", "balanced accuracy", "log loss", "Brier score", "calibration error", "seconds")


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = list(product(tier["questions"], tier["seeds"]))
    with one_thread_each(len(jobs)) as pool:
        rows = pd.concat(pool.map(one_job, *zip(*jobs, strict=True), [tier] * len(jobs)), ignore_index=True)
    print(rows.groupby(["question", "method"])[list(MEASURES)].mean().round(3).to_string())
    claims = [claim for name in tier["questions"] for claim in claims_of(name, rows[rows["question"] == name])]
    write_results("adamedgraph_tables", arguments, tier["seeds"], claims)


def one_job(name: str, seed: int, tier: dict[str, Any]) -> pd.DataFrame:
    """All methods on one repeat of one table."""
    warnings.simplefilter("ignore")
    question = QUESTIONS[name]()
    known = (graph_methods if tier["trials"] == 1 else methods)(seed, tier["epochs"])
    rows = []
    for fold, (train, test) in enumerate(folds_of(question, tier["folds"], seed, tier["most"])):
        mask = np.isin(np.arange(len(question.target)), train)
        target = question.label(mask) if question.label else question.target
        for method, (model, grid) in known.items():
            start = time.perf_counter()
            fitted = tuned(model, grid, question, target, train, tier["trials"], seed)
            found = measured(fitted, question.table.iloc[test], target[test], target[train])
            rows.append({"question": name, "seed": seed, "fold": fold, "method": method, "train": len(train),
                         "test": len(test), "seconds": time.perf_counter() - start, **found})  # fmt: skip
    return pd.DataFrame(rows)


def folds_of(question: Question, folds: int, seed: int, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows; patients together, classes even, at most `most` rows in all."""
    order = np.random.default_rng(seed).permutation(len(question.target))[:most]
    rows = np.sort(order)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = splitter.split(rows, question.target[rows], question.patients[rows])
    return [(rows[train], rows[test]) for train, test in parts]


def tuned(
    model: Any, grid: Any, question: Question, target: np.ndarray, rows: np.ndarray, trials: int, seed: int
) -> Any:
    """The best of the trials by inner log loss, fitted on all training rows."""
    tried = list(ParameterSampler(grid, trials, random_state=seed)) if grid else [{}]
    codes = {label: number for number, label in enumerate(np.unique(target[rows]))}
    classes = np.array([codes.get(label, -1) for label in target])
    losses = np.zeros(len(tried))
    if len(tried) > 1:
        splitter = StratifiedGroupKFold(INNER, shuffle=True, random_state=seed)
        for fit, judge in splitter.split(rows, classes[rows], question.patients[rows]):
            for number, values in enumerate(tried):
                one = clone(model).set_params(**values).fit(question.table.iloc[rows[fit]], classes[rows[fit]])
                known = np.isin(classes[rows[judge]], one.classes_)
                places = np.searchsorted(one.classes_, classes[rows[judge]][known])
                losses[number] += log_loss(
                    places, one.predict_proba(question.table.iloc[rows[judge]])[known].clip(1e-9, 1)
                )
    best = clone(model).set_params(**tried[int(losses.argmin())])
    return best.fit(question.table.iloc[rows], classes[rows])


def measured(model: Any, table: pd.DataFrame, truth: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Measures on test rows, whose classes are those that the training rows have."""
    labels = np.unique(training)
    known = np.isin(truth, labels)
    classes = np.searchsorted(labels, truth[known])
    shares = np.asarray(model.predict_proba(table[known]), dtype=float).clip(1e-9, 1)
    shares /= shares.sum(1, keepdims=True)
    there = np.unique(classes)  # a class without a test row has no AUROC
    cut = shares[:, there] / shares[:, there].sum(1, keepdims=True)
    values = (
        multiclass_auroc(np.searchsorted(there, classes), cut), balanced_accuracy(classes, shares.argmax(1)),
        log_loss(classes, shares), brier(classes, shares), calibration_error(classes, shares),
    )  # fmt: skip
    return dict(zip(MEASURES, values, strict=False))


def claims_of(name: str, rows: pd.DataFrame) -> list[Claim]:
    """AUROC against the decisive control, with the corrected interval over folds, and all others beside it."""
    table = rows.pivot_table(index=["seed", "fold"], columns="method", values="AUROC")
    found = compare_resampled(
        table[OURS] - table[CONTROL], int(rows["train"].mean()), int(rows["test"].mean())
    ).difference
    others = {method: float(value) for method, value in table.mean().items()}
    seconds = {method: float(value) for method, value in rows.groupby("method")["seconds"].mean().items()}
    gain, spent = f"{name}: AUROC over the boosted MLP without graphs", f"{name}: seconds to tune and fit"
    return [
        Claim(gain, found.value, found.low, found.high, "", found.n, 0.0, "higher", others),
        Claim(spent, seconds.pop(OURS), np.nan, np.nan, "s", found.n, None, "lower", seconds),
    ]


if __name__ == "__main__":
    main()
