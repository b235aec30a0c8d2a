"""AdaMedGraph as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from scanweave.external import require
from scanweave.framework.table_columns import Columns, Scaler, TableError, positions
from scanweave.systems.adamedgraph.boosting import Search, boosted
from scanweave.systems.adamedgraph.config import BoostingSettings, Column
from scanweave.systems.adamedgraph.ensemble import Choice, Ensemble, Learner, Nodes, fitted_temperature, log_loss
from scanweave.systems.adamedgraph.intervals import Floats, Indices

AfterRound = Callable[[int, Ensemble, dict[str, float]], None]
"""Takes the number of a round, the ensemble so far and its figures."""
LEAST_PATIENTS_FOR_VALIDATION = 20
"""Patients below which none is set aside for validation."""


class AdaMedGraphClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Boosting over graphs of patients, each made of one column of the table (Lian et al. 2023, arXiv 2311.14304).

    Patients are neighbours in a graph if their values of one column differ by no more than a threshold. Each round
    trains a small network on every candidate graph, keeps the one of lowest weighted error, and raises the weights of
    the patients that it gets wrong (SAMME). Columns and thresholds are chosen by this alone.

    A new patient is answered from the training patients that it resembles, who never see it: the answer for one row
    does not depend on the rows beside it. Settings are those of `config.BoostingSettings`, which says what each means.

    Attributes:
        classes_: The classes, sorted.
        n_features_in_: Columns of the table.
        feature_names_in_: Their names, if the table has names.
        ensemble_: All that answers for a patient.
        validation_rows_: Which rows chose the number of rounds `(n,)`.
        validation_curve_: Log loss of the validation patients after each round; empty without any.
        validation_scores_: Probability that their true class was given, by learners that have not seen them.
    """

    def __init__(
        self,
        *,
        rounds: int = 10,
        levels: Sequence[float] = (0.5, 0.25, 0.125, 0.0625),
        teleports: Sequence[float] = (0.1, 0.5),
        steps: int = 5,
        hidden: int = 16,
        epochs: int = 60,
        learning_rate: float = 0.03,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        learner: Literal["appnp", "gcn", "sage", "gat"] = "appnp",
        graphs: Literal["features", "features+none", "none"] = "features",
        edge_features: Sequence[Column] | None = None,
        node_features: Sequence[Column] | None = None,
        categorical_features: Sequence[Column] | Literal["auto"] = "auto",
        thresholds: Literal["pairwise", "values"] = "pairwise",
        loss_weights: Literal["samme", "class"] = "samme",
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
        shrinkage: float = 1.0,
        shrink: Literal["whole", "first"] = "whole",
        voting: Literal["soft", "votes", "logits", "running"] = "soft",
        reuse: bool = False,
        scaling: Literal["standard", "minmax"] = "standard",
        validation_fraction: float = 0.2,
        patience: int = 3,
        refit: bool = True,
        calibrate: bool = True,
        transductive: bool = False,
        finalists: int | None = 16,
        search_rows: int = 2_000,
        random_state: int = 0,
    ) -> None:
        self.rounds, self.levels = rounds, levels
        self.teleports = teleports
        self.steps, self.hidden = steps, hidden
        self.epochs, self.learning_rate = epochs, learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.learner = learner
        self.graphs = graphs
        self.edge_features = edge_features
        self.node_features = node_features
        self.categorical_features = categorical_features
        self.thresholds = thresholds
        self.loss_weights = loss_weights
        self.class_weight = class_weight
        self.shrinkage = shrinkage
        self.shrink = shrink
        self.voting = voting
        self.reuse = reuse
        self.scaling = scaling
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.refit, self.calibrate = refit, calibrate
        self.transductive = transductive
        self.finalists = finalists
        self.search_rows = search_rows
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        validation: np.ndarray | None = None,
        unlabelled: Any = None,
        earlier: Sequence[Learner] = (),
        after_round: AfterRound | None = None,
    ) -> Self:
        """Choose graphs and train their learners.

        Args:
            X: Table `(n, d)`: numbers with NaN where missing; of a DataFrame also text, yes/no and categories.
            y: Class of each patient `(n,)`, any number of classes from two on.
            sample_weight: Weight of each `(n,)`; a patient of weight 2 is two patients, one of weight 0 is none. Their
                scale counts: a new patient has weight 1 among them. Graphs of gcn, sage and gat know no weights, their
                losses do.
            groups: To whom each row belongs `(n,)`, such as the patient of a visit: validation keeps them together.
            validation: Which rows choose the number of rounds `(n,)`; drawn if not given.
            unlabelled: More rows for the graphs of a transductive fit `(m, d)`, as the paper adds test patients.
            earlier: Learners of the first rounds, of a fit that was stopped.
            after_round: Called after each round of the search.

        Raises:
            TableError: A setting, column or class is at fault; a `ValueError` too.
        """
        settings = self._settings()
        if settings.learner != "appnp":
            require("torch_geometric", "graph")
        table, target, weight = self._checked(X, y, sample_weight)
        kept = weight > 0
        for name, given in (("groups", groups), ("validation", validation)):
            if given is not None and np.shape(given) != kept.shape:
                raise TableError(name, f"has the shape {np.shape(given)}, the table {len(kept)} rows", "Give one a row")
        table, target, weight = table[kept], target[kept], weight[kept]
        aside = self._aside(target, kept, groups, validation)
        self.validation_rows_ = np.zeros(len(kept), dtype=bool)
        self.validation_rows_[kept] = aside
        known = None if unlabelled is None else self._frame(unlabelled)
        builder = _Builder(settings, table, target, weight, known, len(self.classes_), self._class_weights)
        self.validation_curve_: list[float] = []
        self.validation_scores_ = np.empty(0)
        self.ensemble_ = self._search(builder, aside, earlier, after_round)
        if aside.any() and settings.refit:
            again = builder.start(np.ones(len(target), dtype=bool))
            plan = [learner.choice for learner in self.ensemble_.learners]
            learners = tuple(boosted(again.search, again.weights, again.plan(plan)))
            self.ensemble_ = again.ensemble(learners, self.ensemble_.temperature)
        return self

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return probabilities of the classes `(m, K)`."""
        matrix = self._matrix(X)
        return self.ensemble_.probabilities(matrix)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most probable class of each row `(m,)`."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def staged_predict_proba(self, X: Any) -> Iterator[Floats]:  # noqa: N803
        """Yield probabilities `(m, K)` after each round."""
        matrix = self._matrix(X)
        yield from self.ensemble_.staged(matrix)

    def _settings(self) -> BoostingSettings:
        try:
            return BoostingSettings(**self.get_params())
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"]))
            raise TableError(field, f"{fault['msg']}, not {fault['input']!r}", "See AdaMedGraphClassifier") from None

    def _checked(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[pd.DataFrame, Indices, Floats]:  # noqa: N803
        """Return the table as a frame, classes as numbers, and weights."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X=X, y=y, skip_check_array=True)
            table = self._frame(X)
        else:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)  # noqa: N806
            table = pd.DataFrame(X)
        labels = column_or_1d(y, warn=True)
        if len(table) != len(labels):
            raise TableError("y", f"has {len(labels)} entries, the table {len(table)} rows", "Give one class a row")
        check_classification_targets(labels)
        weight = _check_sample_weight(sample_weight, table, dtype=np.float64, ensure_non_negative=True)
        self.classes_ = np.unique(labels[weight > 0])
        if len(self.classes_) < 2:
            raise TableError("y", "holds one class only, nothing can be told apart", "Give two classes or more")
        return table, np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1), weight

    def _frame(self, X: Any) -> pd.DataFrame:  # noqa: N803
        if isinstance(X, pd.DataFrame):
            return X.reset_index(drop=True)
        return pd.DataFrame(np.asarray(X, dtype=np.float64))

    def _matrix(self, X: Any) -> Floats:  # noqa: N803
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame):
            validate_data(self, X=X, reset=False, skip_check_array=True)
            return self.ensemble_.columns.matrix(self._frame(X))
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")  # noqa: N806
        return self.ensemble_.columns.matrix(pd.DataFrame(X))

    def _class_weights(self, target: Indices, mass: Floats) -> Floats:
        """Return a weight for each class, from training patients `(n,)` only, each of a mass."""
        if self.class_weight is None:
            return np.ones(len(self.classes_))
        there = np.unique(target)
        labels = self.classes_[target]
        given = self.class_weight if isinstance(self.class_weight, str) else dict(self.class_weight)
        weights = np.ones(len(self.classes_))
        weights[there] = compute_class_weight(given, classes=self.classes_[there], y=labels, sample_weight=mass)
        return weights

    def _aside(
        self, target: Indices, kept: np.ndarray, groups: ArrayLike | None, validation: np.ndarray | None
    ) -> np.ndarray:
        """Tell which rows validate; every class keeps a row to train on."""
        if validation is not None:
            aside = np.asarray(validation, dtype=bool)[kept]
            if len(np.unique(target[~aside])) < 2:
                raise TableError("validation", "leaves fewer than two classes to learn from", "Set fewer rows aside")
            return aside
        owner = np.arange(len(target)) if groups is None else pd.factorize(np.asarray(groups)[kept])[0]
        folds = round(1 / self.validation_fraction) if self.validation_fraction else 0
        return _drawn_aside(target, owner, folds, self.random_state)

    def _search(
        self, builder: _Builder, aside: np.ndarray, earlier: Sequence[Learner], after_round: AfterRound | None
    ) -> Ensemble:
        """Boost on the rows that are not aside, and keep the rounds that serve those best."""
        part = builder.start(~aside)
        matrix = part.columns.matrix(builder.table[aside])
        weight, target = builder.weight[aside], builder.target[aside]
        learners: list[Learner] = []
        best, found = np.inf, part.ensemble(())
        for learner in boosted(part.search, part.weights, earlier=earlier):
            learners.append(learner)
            now = part.ensemble(tuple(learners))
            figures = {"error": learner.error, "vote": learner.vote}
            if aside.any():
                loss = log_loss(now.probabilities(matrix), target, weight)
                self.validation_curve_.append(loss)
                figures["log_loss"] = loss
            if after_round is not None:
                after_round(len(learners), now, figures)
            if not aside.any() or self.validation_curve_[-1] < best:
                best, found = min([best, *self.validation_curve_[-1:]]), now
            elif len(learners) - len(found.learners) >= self.patience:
                break
        if aside.any():
            if self.calibrate:
                temperature = fitted_temperature(found.probabilities(matrix), target, weight)
                found = replace(found, temperature=temperature)
            self.validation_scores_ = found.probabilities(matrix)[np.arange(len(target)), target]
        return found


def _drawn_aside(target: Indices, owner: Indices, folds: int, seed: int) -> np.ndarray:
    """Draw which rows validate `(n,)`: those of every n-th patient of a class, or none where there are too few.

    Args:
        target: Classes `(n,)`.
        owner: Numbers of the patients `(n,)`.
        folds: One of so many parts validates.
        seed: What the parts are drawn from.
    """
    sizes, nobody = np.bincount(target), np.zeros(len(target), dtype=bool)
    if folds < 2 or len(np.unique(owner)) < LEAST_PATIENTS_FOR_VALIDATION or sizes.max() < folds:
        return nobody
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    rare = np.isin(target, np.flatnonzero(sizes < folds))
    known = np.flatnonzero(~np.isin(owner, owner[rare]))  # patients of a class too rare to be parted all train
    aside = nobody.copy()
    if len(np.unique(owner[known])) >= folds:
        aside[known[next(splitter.split(known, target[known], owner[known]))[1]]] = True
    return aside if set(target[~aside]) == set(target) else nobody


class _Start:
    """The training patients of a fit, and the candidates on them."""

    def __init__(self, builder: _Builder, rows: np.ndarray) -> None:
        settings, table = builder.settings, builder.table[rows]
        self.columns = Columns.of(table, settings.categorical_features)
        matrix = self.columns.matrix(table)
        self.scaler = Scaler.of(matrix, self.columns, builder.weight[rows], settings.scaling)
        names = self.columns.names
        self.read, edges = (
            tuple(range(len(names)) if chosen is None else positions(names, chosen, field))
            for chosen, field in ((settings.node_features, "node_features"), (settings.edge_features, "edge_features"))
        )
        target, mass = builder.target[rows], builder.weight[rows]
        self.nodes = Nodes(matrix, self.scaler(matrix, self.read), target, mass)
        if builder.unlabelled is not None:
            more = self.columns.matrix(builder.unlabelled)
            self.nodes = self.nodes.joined(more, self.scaler(more, self.read))
        extra = len(self.nodes.target) - len(target)
        self.weights = np.concatenate([mass * builder.class_weights(target, mass)[target], np.zeros(extra)])
        self.labelled = self.nodes.take(self.nodes.labelled)
        self.search = Search.of(self.nodes, self.columns, edges, settings, builder.classes)
        self._builder = builder

    def ensemble(self, learners: tuple[Learner, ...], temperature: float = 1.0) -> Ensemble:
        """Return the learners with all that they need."""
        return Ensemble(
            self._builder.settings,
            self.columns,
            self.scaler,
            self.read,
            self.labelled,
            learners,
            self._builder.classes,
            temperature,
        )

    def plan(self, chosen: Sequence[Choice]) -> list[Choice]:
        """Return the same graphs with the thresholds of these patients: of the level that is nearest."""
        made = []
        for choice in chosen:
            alike = [c for c in self.search.choices if (c.feature, c.teleport) == (choice.feature, choice.teleport)]
            if alike:
                made.append(min(alike, key=lambda c: abs(c.level - choice.level)))
        return made or self.search.choices[:1]


class _Builder:
    """Everything that is given to a fit."""

    def __init__(
        self,
        settings: BoostingSettings,
        table: pd.DataFrame,
        target: Indices,
        weight: Floats,
        unlabelled: pd.DataFrame | None,
        classes: int,
        class_weights: Callable[[Indices, Floats], Floats],
    ) -> None:
        self.settings, self.table, self.target, self.weight = settings, table, target, weight
        self.unlabelled, self.classes, self.class_weights = unlabelled, classes, class_weights

    def start(self, rows: np.ndarray) -> _Start:
        """Start a fit on some rows: whatever is learnt of the table is learnt on these."""
        return _Start(self, rows)
