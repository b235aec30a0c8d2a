"""Methods that AdaMedGraph is compared with: each a pipeline, and what may be tuned of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from adamedgraph_controls import CosineGraph, SimilarityFusion, WrongEdges
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


def plain_methods(seed: int) -> dict[str, Method]:
    """Models that know no graph; trees that are boosted come from the group `benchmarks`."""
    boosting = {"learning_rate": [0.02, 0.05, 0.1, 0.2], "max_depth": [2, 3, 4, 6], "n_estimators": [50, 100, 200, 400]}
    xgboost, lightgbm, catboost = (require(name, "benchmarks") for name in ("xgboost", "lightgbm", "catboost"))
    trees = {"random_state": seed, "n_jobs": 1}
    cat = catboost.CatBoostClassifier(random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False)
    width = {"alpha": np.logspace(-4, 1, 8), "hidden_layer_sizes": [(16,), (64,)], "learning_rate_init": [1e-3, 1e-2]}
    forest = {"min_samples_leaf": [1, 2, 5, 10, 20], "max_features": ["sqrt", 0.5]}
    margin = {"C": np.logspace(-1, 2, 6), "gamma": np.logspace(-3, 0, 6)}
    near = {"n_neighbors": [3, 5, 9, 15, 25, 41], "weights": ["uniform", "distance"]}
    return _prepared(
        {
            "majority": (DummyClassifier(strategy="prior"), {}),
            "logistic regression": (LogisticRegression(max_iter=2_000), {"C": np.logspace(-3, 2, 12)}),
            "k nearest": (KNeighborsClassifier(), near),
            "SVM": (SVC(probability=True, random_state=seed), margin),
            "random forest": (RandomForestClassifier(300, random_state=seed), forest),
            "XGBoost": (xgboost.XGBClassifier(**trees), boosting),
            "LightGBM": (lightgbm.LGBMClassifier(**trees, verbose=-1), boosting),
            "CatBoost": (cat, boosting),
            "MLP": (MLPClassifier(max_iter=400, random_state=seed), width),
        }
    )


def single_graphs(seed: int, epochs: int) -> dict[str, Method]:
    """Models on one graph of all columns."""
    one = {"neighbours": [5, 10, 20], "weight_decay": [1e-3, 1e-2, 1e-1]}
    fusion = {"views": [2, 3], "neighbours": [10, 20, 30], "width": [0.3, 0.5, 0.8]}
    return _prepared(
        {
            "network fusion": (SimilarityFusion(), fusion),
            "one GCN graph": (CosineGraph(kind="gcn", epochs=epochs, seed=seed), one),
            "one APPNP graph": (CosineGraph(kind="appnp", epochs=epochs, seed=seed), one),
        }
    )


def graph_methods(seed: int, epochs: int) -> dict[str, Method]:
    """AdaMedGraph and its controls; they take the table as it is."""
    grid, common = _grid(), {"random_state": seed, "epochs": epochs}
    return {
        OURS: (AdaMedGraphClassifier(**common), grid),
        CONTROL: (AdaMedGraphClassifier(**common, graphs="none"), grid),
        "random edge feature": (WrongEdges("random", epochs=epochs, seed=seed), grid),
        "shuffled graph": (WrongEdges("shuffled", epochs=epochs, seed=seed), grid),
    }


def ablations(seed: int, epochs: int) -> dict[str, Method]:
    """AdaMedGraph with one thing changed."""
    variants: dict[str, dict[str, Any]] = {
        "graphs or none": {"graphs": "features+none"},
        "thresholds of values": {"thresholds": "values"},
        "D not in the loss": {"loss_weights": "class"},
        "columns used again": {"reuse": True},
        "released code's sums": {"voting": "running"},
        "transductive": {"transductive": True},
    }
    common = {"random_state": seed, "epochs": epochs}
    return {name: (AdaMedGraphClassifier(**common, **one), _grid()) for name, one in variants.items()}


def _grid() -> dict[str, Sequence[Any]]:
    rates: dict[str, Sequence[Any]] = {"learning_rate": [0.01, 0.03], "shrinkage": [0.3, 1.0]}
    return rates | {"hidden": [8, 16, 32], "weight_decay": [1e-3, 1e-2, 1e-1]}


def _prepared(plain: dict[str, Method]) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for name, (model, grid) in plain.items():
        found[name] = prepared(model), {f"model__{key}": values for key, values in grid.items()}
    return found
