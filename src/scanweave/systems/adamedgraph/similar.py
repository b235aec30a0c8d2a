"""Explanations: the patients a patient resembles, by what, and what became of them; and what the graphs tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanweave.systems.adamedgraph.ensemble import Choice, Ensemble, Nodes, log_loss
from scanweave.systems.adamedgraph.intervals import Floats, Indices, IntervalGraph


@dataclass(frozen=True)
class Neighbour:
    """A training patient that resembles another patient.

    Attributes:
        node: Its place among the training patients.
        likeness: Share of the votes whose graphs join the two, 0 to 1.
        by: Columns by which they are joined.
        target: Its class.
    """

    node: int
    likeness: float
    by: tuple[str, ...]
    target: int


def joined(choice: Choice, nodes: Nodes, row: Floats) -> np.ndarray:
    """Tell which training patients are neighbours of a new one `(n,)`, its row `(d,)`."""
    if choice.feature is None or np.isnan(row[choice.feature]):
        return np.zeros(len(nodes.mass), dtype=bool)
    near: np.ndarray = np.abs(row[choice.feature] - nodes.matrix[:, choice.feature]) <= (choice.threshold or 0.0)
    return near


def most_similar(ensemble: Ensemble, row: Floats, count: int, own: np.ndarray) -> list[Neighbour]:
    """Return the training patients that most votes join to a patient, then those whose variables are nearest.

    Args:
        ensemble: The fitted ensemble.
        row: The patient as a row of the table in numbers `(d,)`.
        count: How many.
        own: Which nodes are the patient itself, and are not named `(n,)`.
    """
    nodes, votes = ensemble.nodes, ensemble.votes
    near = np.stack([joined(learner.choice, nodes, row) for learner in ensemble.learners])
    likeness = votes @ near / votes.sum()
    distance = np.sqrt(((nodes.inputs - ensemble.scaler(row[None], ensemble.read)) ** 2).mean(1))
    order = [i for i in np.lexsort([distance, -likeness]) if likeness[i] > 0 and not own[i]]
    names = ensemble.columns.names
    return [
        Neighbour(
            int(i),
            float(likeness[i]),
            tuple(
                names[one.choice.feature]
                for one, met in zip(ensemble.learners, near[:, i], strict=True)
                if met and one.choice.feature is not None
            ),
            int(nodes.target[i]),
        )
        for i in order[:count]
    ]


def outcomes(ensemble: Ensemble, row: Floats, own: np.ndarray) -> list[dict[str, int]]:
    """Count for each graph the neighbours of a patient by class, as `{class number: patients}` with text keys.

    Nodes that are the patient's `own` `(n,)` do not count.
    """
    nodes = ensemble.nodes
    found = []
    for learner in ensemble.learners:
        near = joined(learner.choice, nodes, row) & ~own
        found.append({str(k): int((nodes.target[near] == k).sum()) for k in range(ensemble.classes)})
    return found


@dataclass(frozen=True)
class Homophily:
    """Likeness of the outcomes of neighbours.

    Attributes:
        share: Of a training patient's neighbours, those of its class; the mean over patients with neighbours, NaN
            where nobody has one. A patient is not its own neighbour.
        low, high: Between which it lies in 95 % of deals of the outcomes among the patients.
    """

    share: float
    low: float
    high: float

    @property
    def by_chance(self) -> bool:
        """True if the graph joins patients whose outcomes are no more alike than those of any others."""
        return not self.share > self.high


def homophily(choice: Choice, nodes: Nodes, deals: int = 200, seed: int = 0) -> Homophily:
    """Return the homophily of a graph among the training patients, beside that of outcomes dealt out anew."""
    graph = choice.graph(nodes.matrix, np.ones(len(nodes.mass)))
    rng = np.random.default_rng([seed, 0])
    dealt = [_same_class(graph, rng.permutation(nodes.target)) for _ in range(deals)]
    low, high = np.quantile(dealt, (0.025, 0.975))
    return Homophily(_same_class(graph, nodes.target), float(low), float(high))


def _same_class(graph: IntervalGraph, target: Indices) -> float:
    """Mean share of neighbours that have the patient's class, by prefix sums in the order of the column."""
    classes = np.eye(target.max() + 1)[target]
    sums = np.stack([np.bincount(graph.group, weights=column, minlength=len(graph.low)) for column in classes.T], 1)
    total = np.vstack([np.zeros(sums.shape[1]), np.cumsum(sums, axis=0)])
    around = (total[graph.high] - total[graph.low])[graph.group] - classes
    count = around.sum(1)
    met = count > 0
    return float(((around * classes).sum(1)[met] / count[met]).mean()) if met.any() else float("nan")


def likeness_of(ensemble: Ensemble, rows: Indices) -> Floats:
    """Share of the votes whose graphs join two training patients, of some of them `(m, m)`; 1 on the diagonal."""
    found = np.zeros((len(rows), len(rows)))
    for learner, vote in zip(ensemble.learners, ensemble.votes, strict=True):
        column = learner.choice.column(ensemble.nodes.matrix)[rows]
        found += vote * (np.abs(column[:, None] - column) <= (learner.choice.threshold or 0.0))
    found /= ensemble.votes.sum()
    np.fill_diagonal(found, 1.0)
    return found


def permutation_importance(
    ensemble: Ensemble, matrix: Floats, target: Indices, repeats: int = 5, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Measure how the log loss rises if a column is dealt out anew among the patients, its graphs and its values.

    Args:
        ensemble: The fitted ensemble.
        matrix: Patients that it was not fitted on `(n, d)`.
        target: Their classes `(n,)`.
        repeats: Deals of each column.
        seed: Seed of the deals.

    Returns:
        Mean and standard deviation over deals by column, the largest first.
    """
    weight = np.ones(len(target))
    base = log_loss(ensemble.probabilities(matrix), target, weight)
    rises: dict[str, tuple[float, float]] = {}
    for place, name in enumerate(ensemble.columns.names):
        losses = []
        for repeat in range(repeats):
            dealt = matrix.copy()
            dealt[:, place] = np.random.default_rng([seed, place, repeat]).permutation(dealt[:, place])
            losses.append(log_loss(ensemble.probabilities(dealt), target, weight) - base)
        rises[name] = (float(np.mean(losses)), float(np.std(losses)))
    return dict(sorted(rises.items(), key=lambda item: -item[1][0]))
