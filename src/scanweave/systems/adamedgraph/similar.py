"""Explanations: the patients a patient resembles, by what, and what became of them; and what the graphs tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanweave.systems.adamedgraph.attribution import Voice
from scanweave.systems.adamedgraph.ensemble import Choice, Ensemble, Nodes, log_loss
from scanweave.systems.adamedgraph.intervals import Floats, Indices, IntervalGraph


@dataclass(frozen=True)
class Neighbour:
    """A training patient that resembles another patient.

    Attributes:
        node: Its place among the training patients.
        weight: Its share in the answer: of all graphs, each by its vote; see `attribution.pull`.
        likeness: Share of the votes whose graphs join the two, 0 to 1.
        by: Columns by which they are joined.
        target: Its class.
    """

    node: int
    weight: float
    likeness: float
    by: tuple[str, ...]
    target: int


@dataclass(frozen=True)
class Similar:
    """The patients of most weight in an answer.

    Attributes:
        listed: These, the heaviest first; of equal weight those whose variables are nearest.
        tied: How many more have the same weight as the last one listed.
        neighbours: How many have any weight.
        by_class: Share of all neighbours' weight by class `(K,)`; 0 where there is none.
        own: Weight of the patient's own values; with those of all neighbours 1 in sum.
    """

    listed: tuple[Neighbour, ...]
    tied: int
    neighbours: int
    by_class: Floats
    own: float


def most_similar(ensemble: Ensemble, row: Floats, heard: Sequence[Voice], count: int) -> Similar:
    """Return the training patients of most weight in the answer for a patient.

    Args:
        ensemble: The fitted ensemble.
        row: The patient as a row of the table in numbers `(d,)`.
        heard: What each learner says of it, by `attribution.voices`.
        count: How many are listed.
    """
    nodes, names = ensemble.nodes, ensemble.columns.names
    weights = np.array(sum(one.share * one.weights for one in heard))
    likeness = np.array(sum(one.share * one.near for one in heard), dtype=np.float64)
    distance = np.sqrt(((nodes.inputs - ensemble.scaler(row[None], ensemble.read)) ** 2).mean(1))
    steps = weights.round(12)  # of equal weight is what differs by rounding
    order = [int(i) for i in np.lexsort([distance, -steps]) if weights[i] > 0]
    by_class: Floats = np.bincount(nodes.target, weights, ensemble.classes).astype(np.float64)
    columns = [one.choice.feature for one in ensemble.learners]
    listed = tuple(
        Neighbour(
            i,
            float(weights[i]),
            float(likeness[i]),
            tuple(names[of] for of, one in zip(columns, heard, strict=True) if of is not None and one.near[i]),
            int(nodes.target[i]),
        )
        for i in order[:count]
    )
    tied = sum(steps[i] == steps[order[count - 1]] for i in order[count:]) if len(order) > count else 0
    whole = by_class.sum()
    own = float(sum(one.share * one.own for one in heard))
    return Similar(listed, int(tied), len(order), by_class / whole if whole else by_class, own)


def outcomes(nodes: Nodes, near: np.ndarray, classes: int) -> list[int]:
    """Count neighbours `(n,)` by class."""
    return [int((nodes.target[near] == number).sum()) for number in range(classes)]


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
    for learner, share in zip(ensemble.learners, ensemble.vote_shares, strict=True):
        column = learner.choice.column(ensemble.nodes.matrix)[rows]
        found += share * (np.abs(column[:, None] - column) <= (learner.choice.threshold or 0.0))
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
