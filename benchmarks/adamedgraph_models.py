"""What AdaMedGraph is compared with: each method a pipeline, and what may be tuned of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from scanweave.external import require
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier

Method = tuple[Any, dict[str, Sequence[Any]]]
CONTROL, OURS = "boosted MLP", "AdaMedGraph"
"""The decisive control has no graph in any round, and is AdaMedGraph in all else."""


def prepared(model: Any) -> Pipeline:
    """A model behind imputation, scaling and one column a category, all fitted inside the fold."""
    numbers, texts = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
    )
    return Pipeline([("columns", columns), ("model", model)])


def methods(seed: int, epochs: int) -> dict[str, Method]:
    """Every method by name with the values that its trials are drawn from."""
    boosting = {"learning_rate": [0.02, 0.05, 0.1, 0.2], "max_depth": [2, 3, 4, 6], "n_estimators": [50, 100, 200, 400]}
    xgboost, lightgbm, catboost = (require(name, "benchmarks") for name in ("xgboost", "lightgbm", "catboost"))
    trees = {"random_state": seed, "n_jobs": 1}
    cat = catboost.CatBoostClassifier(random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False)
    width = {"alpha": np.logspace(-4, 1, 8), "hidden_layer_sizes": [(16,), (64,)], "learning_rate_init": [1e-3, 1e-2]}
    one = {"neighbours": [5, 10, 20], "weight_decay": [1e-3, 1e-2, 1e-1]}
    forest = {"min_samples_leaf": [1, 2, 5, 10, 20], "max_features": ["sqrt", 0.5]}
    margin = {"C": np.logspace(-1, 2, 6), "gamma": np.logspace(-3, 0, 6)}
    near = {"n_neighbors": [3, 5, 9, 15, 25, 41], "weights": ["uniform", "distance"]}
    plain: dict[str, Method] = {
        "majority": (DummyClassifier(strategy="prior"), {}),
        "logistic regression": (LogisticRegression(max_iter=2_000), {"C": np.logspace(-3, 2, 12)}),
        "k nearest": (KNeighborsClassifier(), near),
        "SVM": (SVC(probability=True, random_state=seed), margin),
        "random forest": (RandomForestClassifier(300, random_state=seed), forest),
        "XGBoost": (xgboost.XGBClassifier(**trees), boosting),
        "LightGBM": (lightgbm.LGBMClassifier(**trees, verbose=-1), boosting),
        "CatBoost": (cat, boosting),
        "MLP": (MLPClassifier(max_iter=400, random_state=seed), width),
        "one GCN graph": (CosineGraph(kind="gcn", epochs=epochs, seed=seed), one),
        "one APPNP graph": (CosineGraph(kind="appnp", epochs=epochs, seed=seed), one),
    }
    found: dict[str, Method] = {}
    for name, (model, grid) in plain.items():
        found[name] = prepared(model), {f"model__{key}": values for key, values in grid.items()}
    return found | graph_methods(seed, epochs)


def graph_methods(seed: int, epochs: int) -> dict[str, Method]:
    """AdaMedGraph, its ablations and its controls; they take the table as it is."""
    grid: dict[str, Sequence[Any]] = {"hidden": [8, 16, 32], "weight_decay": [1e-3, 1e-2, 1e-1]}
    grid |= {"learning_rate": [0.01, 0.03], "shrinkage": [0.3, 1.0]}
    common = {"random_state": seed, "epochs": epochs}
    variants: dict[str, dict[str, Any]] = {
        OURS: {},
        CONTROL: {"graphs": "none"},
        "graphs or none": {"graphs": "features+none"},
        "thresholds of values": {"thresholds": "values"},
        "D not in the loss": {"loss_weights": "class"},
        "columns used again": {"reuse": True},
        "released code's sums": {"voting": "running"},
        "transductive": {"transductive": True},
    }
    found: dict[str, Method] = {name: (AdaMedGraphClassifier(**common, **one), grid) for name, one in variants.items()}
    found["random edge feature"] = (WrongEdges("random", epochs=epochs, seed=seed), grid)
    found["shuffled graph"] = (WrongEdges("shuffled", epochs=epochs, seed=seed), grid)
    return found


class WrongEdges(ClassifierMixin, BaseEstimator):
    """AdaMedGraph whose graphs come from noise, or from columns dealt out anew; learners read the true columns."""

    def __init__(self, how: str = "random", epochs: int = 60, seed: int = 0, hidden: int = 16,
                 weight_decay: float = 0.01, learning_rate: float = 0.03, shrinkage: float = 1.0) -> None:  # fmt: skip
        self.how, self.epochs, self.seed, self.hidden = how, epochs, seed, hidden
        self.weight_decay, self.learning_rate, self.shrinkage = weight_decay, learning_rate, shrinkage

    def fit(self, X: pd.DataFrame, y: Any) -> WrongEdges:  # noqa: N803
        """Draw the edges, and fit."""
        numbers = X.select_dtypes("number")
        edges = numbers if self.how == "shuffled" and numbers.shape[1] else pd.DataFrame({"noise": np.zeros(len(X))})
        self.edges_ = [f"wrong {name}" for name in edges]
        self.pool_ = edges.set_axis(self.edges_, axis=1).reset_index(drop=True)
        self.model_ = AdaMedGraphClassifier(
            random_state=self.seed, epochs=self.epochs, hidden=self.hidden, weight_decay=self.weight_decay,
            learning_rate=self.learning_rate, shrinkage=self.shrinkage, edge_features=self.edges_,
            node_features=list(X.columns),
        ).fit(self._table(X, 0), y)  # fmt: skip
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Probabilities; a new patient gets edges of chance too."""
        return self.model_.predict_proba(self._table(X, 1))

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """The most probable class."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _table(self, X: pd.DataFrame, turn: int) -> pd.DataFrame:  # noqa: N803
        rng = np.random.default_rng([self.seed, turn])
        if self.how == "random":
            wrong = pd.DataFrame({name: rng.normal(size=len(X)) for name in self.edges_})
        else:
            wrong = pd.DataFrame({n: rng.choice(self.pool_[n].to_numpy(), len(X)) for n in self.edges_})
        return pd.concat([X.reset_index(drop=True), wrong], axis=1)


class CosineGraph(ClassifierMixin, BaseEstimator):
    """One graph of all columns: the k training patients of highest cosine likeness; GCN or APPNP on it."""

    def __init__(self, kind: str = "appnp", neighbours: int = 10, hidden: int = 16, epochs: int = 60,
                 weight_decay: float = 0.01, seed: int = 0) -> None:  # fmt: skip
        self.kind, self.neighbours, self.hidden, self.epochs = kind, neighbours, hidden, epochs
        self.weight_decay, self.seed = weight_decay, seed

    def fit(self, X: np.ndarray, y: Any) -> CosineGraph:  # noqa: N803
        """Build the graph of training patients, and train on it."""
        layers = require("torch_geometric.nn", "graph")
        self.classes_, target = np.unique(y, return_inverse=True)
        self.known_ = torch.tensor(X, dtype=torch.float32)
        near = self._near(self.known_, skip=True)
        self.edges_ = torch.cat([near, near.flip(0)], 1).unique(dim=1)
        torch.manual_seed(self.seed)
        width, classes = X.shape[1], len(self.classes_)
        if self.kind == "gcn":
            self.layers_ = torch.nn.ModuleList(
                [layers.GCNConv(width, self.hidden), layers.GCNConv(self.hidden, classes)]
            )
        else:
            self.layers_ = torch.nn.ModuleList(
                [torch.nn.Linear(width, self.hidden), torch.nn.Linear(self.hidden, classes), layers.APPNP(5, 0.1)]
            )
        optimiser = torch.optim.AdamW(self.layers_.parameters(), lr=0.03, weight_decay=self.weight_decay)
        for _ in range(self.epochs):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(self._logits(self.known_, self.edges_), torch.tensor(target)).backward()
            optimiser.step()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Probabilities; each new patient receives from its k nearest training patients."""
        new = torch.tensor(X, dtype=torch.float32)
        near = self._near(new, skip=False)
        met = torch.stack([near[0], near[1] + len(self.known_)])
        with torch.no_grad():
            logits = self._logits(torch.cat([self.known_, new]), torch.cat([self.edges_, met], 1))[len(self.known_) :]
        return torch.softmax(logits.double(), 1).numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """The most probable class."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _near(self, new: torch.Tensor, *, skip: bool) -> torch.Tensor:
        unit = torch.nn.functional.normalize(self.known_)
        likeness = torch.nn.functional.normalize(new) @ unit.T
        if skip:
            likeness.fill_diagonal_(-2)
        found = likeness.topk(min(self.neighbours, len(unit) - 1), 1).indices
        return torch.stack([found.reshape(-1), torch.arange(len(new)).repeat_interleave(found.shape[1])])

    def _logits(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        if self.kind == "gcn":
            return self.layers_[1](torch.relu(self.layers_[0](x, edges)), edges)
        return self.layers_[2](self.layers_[1](torch.relu(self.layers_[0](x))), edges)
