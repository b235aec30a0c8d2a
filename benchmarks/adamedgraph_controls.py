"""Models that no library has: boosting over wrong graphs, one graph of all columns, similarity network fusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin

from scanweave.external import require
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier

FAINT = 1e-12
"""Least likeness of two patients: none is cut off from all others."""


class WrongEdges(ClassifierMixin, BaseEstimator):
    """AdaMedGraph whose graphs come from noise, or from columns dealt out anew; learners read the true columns."""

    def __init__(
        self,
        how: str = "random",
        epochs: int = 60,
        seed: int = 0,
        hidden: int = 16,
        weight_decay: float = 0.01,
        learning_rate: float = 0.03,
        shrinkage: float = 1.0,
    ) -> None:
        self.how, self.epochs, self.seed, self.hidden = how, epochs, seed, hidden
        self.weight_decay, self.learning_rate, self.shrinkage = weight_decay, learning_rate, shrinkage

    def fit(self, X: pd.DataFrame, y: Any, groups: Any = None) -> WrongEdges:  # noqa: N803
        """Draw the edges, and fit."""
        numbers = X.select_dtypes("number")
        edges = numbers if self.how == "shuffled" and numbers.shape[1] else pd.DataFrame({"noise": np.zeros(len(X))})
        self.edges_ = [f"wrong {name}" for name in edges]
        self.pool_ = edges.set_axis(self.edges_, axis=1).reset_index(drop=True)
        self.model_ = AdaMedGraphClassifier(
            random_state=self.seed,
            epochs=self.epochs,
            hidden=self.hidden,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate,
            shrinkage=self.shrinkage,
            edge_features=self.edges_,
            node_features=list(X.columns),
        ).fit(self._table(X, 0), y, groups=groups)
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

    def __init__(
        self,
        kind: str = "appnp",
        neighbours: int = 10,
        hidden: int = 16,
        epochs: int = 60,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
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


class SimilarityFusion(ClassifierMixin, BaseEstimator):
    """Similarity network fusion (Wang et al. 2014, Nature Methods 11:333), then label propagation over the fusion.

    Views are blocks of neighbouring columns, as equal in number as can be: behind `prepared` numbers come before
    categories. As in the paper, new patients join the network by their features, all at once; what is not known of
    them is the class. So an answer depends on the rows beside it.
    """

    def __init__(self, views: int = 2, neighbours: int = 20, width: float = 0.5, steps: int = 20) -> None:
        self.views, self.neighbours, self.width, self.steps = views, neighbours, width, steps

    def fit(self, X: np.ndarray, y: Any) -> SimilarityFusion:  # noqa: N803
        """Keep the training patients: the network is made when the new ones are known."""
        self.classes_, target = np.unique(y, return_inverse=True)
        self.known_, self.answers_ = np.asarray(X, dtype=np.float32), np.eye(len(self.classes_))[target]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Probabilities: the classes of training patients, carried on until nothing changes."""
        known, everybody = len(self.known_), np.concatenate([self.known_, np.asarray(X, dtype=np.float32)])
        parts = np.array_split(everybody, min(self.views, everybody.shape[1]), axis=1)
        flow = fused([likeness(part, self.neighbours, self.width) for part in parts], self.neighbours, self.steps)
        np.fill_diagonal(flow, 0)
        flow = flow.astype(np.float64) / flow.sum(1, keepdims=True)
        return np.linalg.solve(np.eye(len(X)) - flow[known:, known:], flow[known:, :known] @ self.answers_)

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """The most probable class."""
        return self.classes_[self.predict_proba(X).argmax(1)]


def likeness(values: np.ndarray, neighbours: int, width: float) -> np.ndarray:
    """Scaled exponential kernel `(n, n)` of Euclidean distances, its scale that of both patients' neighbourhoods.

    W_ij = exp(-ρ_ij² / 2 (μ ε_ij)²) with ε_ij the mean of ρ_ij and the mean distances to their K nearest (eq. 1; the
    square of ε makes it free of the columns' unit).
    """
    square = (values**2).sum(1)
    distance = np.sqrt((square[:, None] + square - 2 * values @ values.T).clip(0))
    np.fill_diagonal(distance, 0)
    count = min(neighbours, len(values) - 1)
    near = np.partition(distance, count, axis=1)[:, : count + 1].sum(1) / count
    scale = width * (near[:, None] + near + distance) / 3
    return np.exp(-((distance / scale.clip(FAINT)) ** 2) / 2).clip(FAINT)


def fused(kernels: list[np.ndarray], neighbours: int, steps: int) -> np.ndarray:
    """The networks of all views, each carried on over its own nearest neighbours to those of the others (eq. 2-5)."""
    local = [_nearest(kernel, neighbours) for kernel in kernels]
    full = [_balanced(kernel) for kernel in kernels]
    for _ in range(steps):
        total, count = np.sum(full, axis=0), max(len(full) - 1, 1)
        others = [(total - one) / count if len(full) > 1 else one for one in full]
        full = [_balanced(part @ (part @ other.T).T) for part, other in zip(local, others, strict=True)]
    return np.mean(full, axis=0)


def _nearest(kernel: np.ndarray, neighbours: int) -> csr_array:
    """The kernel of a patient and its nearest, to sum 1."""
    count = min(neighbours, len(kernel))
    columns = np.argpartition(-kernel, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(kernel, columns, 1)
    values /= values.sum(1, keepdims=True)
    return csr_array((values.ravel(), columns.ravel(), np.arange(len(kernel) + 1) * count), shape=kernel.shape)


def _balanced(kernel: np.ndarray) -> np.ndarray:
    """Half of a row's sum on the diagonal, half on the others; symmetric."""
    shares = kernel / (2 * (kernel.sum(1) - kernel.diagonal())[:, None])
    np.fill_diagonal(shares, 0.5)
    return (shares + shares.T) / 2
