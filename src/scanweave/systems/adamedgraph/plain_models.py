"""Plain models on the patients that a run learnt from: does the run tell more than they do?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from scanweave.measures.bootstrap import paired_difference
from scanweave.measures.outcomes import CLASS_MEASURES, LOG_LOSS, measure_classes, row_losses
from scanweave.systems.adamedgraph.ensemble import Ensemble
from scanweave.systems.adamedgraph.intervals import Floats, Indices

OURS, LOGISTIC, TREES = "AdaMedGraph", "logistic regression", "boosted trees"
SHOWN = {name: CLASS_MEASURES[name] for name in ("AUROC", LOG_LOSS, "Brier score")}
JUDGED_BY = LOG_LOSS
"""The measure by which one model is called better than another; lower is better."""
STRENGTHS = tuple(np.logspace(-3, 2, 8).tolist())
"""Inverse penalties C among which folds choose."""
TREE_ROUNDS = 200
"""Boosting rounds at most; folds choose how many."""
TREE_RATE = 0.05
FOLDS = 5
MOST_CATEGORIES = 255
"""Of a column that the trees take as categories; scikit-learn's limit."""

Model = Callable[[Floats], Floats]


def fit_plain_models(ensemble: Ensemble, patients: Sequence[Hashable], seed: int = 0) -> dict[str, Model]:
    """Return a logistic regression and boosted trees, fitted on the training patients of a run.

    They see all its columns: the regression as the learners do, scaled, missing values told and a column a category;
    the trees as they are. The penalty and the number of trees are chosen by the log loss in folds of these patients,
    none of whom is in two; where a class has fewer than two patients, C is 1 and trees are 50.

    Args:
        ensemble: The fitted ensemble, with its training patients.
        patients: Whose rows these are, in the order of the nodes.
        seed: Of folds and trees.

    Returns:
        From rows of the table in numbers `(m, d)` to probabilities `(m, K)`.
    """
    nodes, columns = ensemble.nodes, range(ensemble.nodes.matrix.shape[1])
    folds = _folds(nodes.target, patients, seed)

    def read(matrix: Floats) -> Floats:
        return ensemble.scaler(matrix, columns)

    def regression(strength: float, rows: Indices) -> LogisticRegression:
        model = LogisticRegression(C=strength, max_iter=2_000)
        return model.fit(read(nodes.matrix[rows]), nodes.target[rows], nodes.mass[rows])

    sizes = [len(known or ()) for known in ensemble.columns.categories]
    categories = [0 < size <= MOST_CATEGORIES for size in sizes]

    def trees(rounds: int, rows: Indices) -> HistGradientBoostingClassifier:
        model = HistGradientBoostingClassifier(
            learning_rate=TREE_RATE,
            max_iter=rounds,
            early_stopping=False,
            categorical_features=categories,
            random_state=seed,
        )
        return model.fit(nodes.matrix[rows], nodes.target[rows], nodes.mass[rows])

    strength, rounds = 1.0, 50
    if folds:
        losses = np.zeros(len(STRENGTHS))
        staged = np.zeros(TREE_ROUNDS)
        for train, test in folds:
            held, truth, mass = nodes.matrix[test], nodes.target[test], nodes.mass[test]
            losses += [_loss(regression(c, train), read(held), truth, mass) for c in STRENGTHS]
            grown = trees(TREE_ROUNDS, train)
            staged += [
                log_loss(truth, shares, sample_weight=mass, labels=grown.classes_)
                for shares in grown.staged_predict_proba(held)
            ]
        strength, rounds = STRENGTHS[int(losses.argmin())], int(staged.argmin()) + 1
    everyone = np.arange(len(nodes.target))
    line, forest = regression(strength, everyone), trees(rounds, everyone)
    return {
        LOGISTIC: lambda matrix: _all_classes(line, read(matrix), ensemble.classes),
        TREES: lambda matrix: _all_classes(forest, matrix, ensemble.classes),
    }


def compare_models(
    classes: Indices, answers: Mapping[str, Floats], patients: Sequence[Hashable], *, repeats: int, seed: int = 0
) -> pd.DataFrame:
    """Return the measures of several models on the same patients, and what the first one does better than each other.

    Args:
        classes: What became of the patients `(n,)`.
        answers: Probabilities `(n, K)` by model; the first is compared with the others.
        patients: Whose rows these are.
        repeats: Resamples.
        seed: Of the resampling.

    Returns:
        Rows `model, measure, value, low, high, patients, ahead, ahead_low, ahead_high`: `ahead` is how much lower the
        log loss of the first model is, patient by patient on the same resamples; NaN of other measures.
    """
    ours = row_losses(classes, next(iter(answers.values())))[JUDGED_BY]
    rows = []
    for number, (model, shares) in enumerate(answers.items()):
        theirs = row_losses(classes, shares)[JUDGED_BY]
        ahead = paired_difference(theirs, ours, patients, seed=seed, repeats=repeats)
        for name, one in measure_classes(classes, shares, patients, SHOWN, seed=seed, repeats=repeats).items():
            told = number and name == JUDGED_BY
            ends = (ahead.value, ahead.low, ahead.high) if told else (np.nan,) * 3
            row = {"model": model, "measure": name, "value": one.value, "low": one.low, "high": one.high}
            more = dict(zip(("ahead", "ahead_low", "ahead_high"), ends, strict=True))
            rows.append({**row, "patients": one.n, **more})
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame) -> tuple[str, bool]:
    """Say whether a plain model does better, as a sentence, and whether that is a reason for caution.

    Args:
        table: As `compare_models` returns it.
    """
    rows = table[(table["measure"] == JUDGED_BY) & table["ahead"].notna()].to_dict("records")
    if not rows:
        return "", False
    best = min(rows, key=lambda row: float(row["value"]))
    by = f"log loss {best['value']:.3f}, AdaMedGraph's {best['value'] - best['ahead']:.3f}"
    if best["ahead_high"] < 0:
        ends = f"ahead by {-best['ahead']:.3f} [{-best['ahead_high']:.3f}, {-best['ahead_low']:.3f}]"
        return f"A plain model does better: {best['model']} ({by}; {ends}). Take it", True
    ends = f"AdaMedGraph ahead by {best['ahead']:+.3f} [{best['ahead_low']:+.3f}, {best['ahead_high']:+.3f}]"
    if all(row["ahead_low"] > 0 for row in rows):
        return f"AdaMedGraph does better than either plain model, also than {best['model']} ({by}; {ends})", False
    return f"It is not shown that AdaMedGraph does better than {best['model']} ({by}; {ends})", True


def _folds(target: Indices, patients: Sequence[Hashable], seed: int) -> list[tuple[Indices, Indices]]:
    """Return training and test rows of folds that hold every class, if there are enough patients of each."""
    owner = pd.factorize(np.array(list(map(str, patients)), dtype=object))[0]
    fewest = min(len(set(owner[target == number])) for number in np.unique(target))
    if fewest < 2:
        return []
    made = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed).split(owner, target, owner)
    return [(train, test) for train, test in made if set(target[train]) == set(target)]


def _loss(model: LogisticRegression, inputs: Floats, truth: Indices, mass: Floats) -> float:
    return float(log_loss(truth, model.predict_proba(inputs), sample_weight=mass, labels=model.classes_))


def _all_classes(model: LogisticRegression | HistGradientBoostingClassifier, inputs: Floats, count: int) -> Floats:
    """Probabilities `(n, K)` of all classes; 0 of one without a training patient."""
    found = np.zeros((len(inputs), count))
    found[:, model.classes_] = model.predict_proba(inputs)
    return found
