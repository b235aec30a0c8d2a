"""Parts of an answer: each graph's share, each patient's weight, and the effect of the patient's own values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scanweave.systems.adamedgraph.ensemble import Choice, Ensemble, IntervalLearner, Learner, Nodes
from scanweave.systems.adamedgraph.intervals import Floats

DRAWS = 32
"""Pairs of orders in which a patient's values are put into a training patient's, each there and back."""


@dataclass(frozen=True, eq=False)
class Voice:
    """Answer of one learner for a patient, and whom it heard.

    Attributes:
        share: What it counts in the answer; of all learners 1 in sum.
        says: Its own probabilities `(K,)`.
        own: Share of the patient's own values, and of its other visits, in what it says.
        weights: Share of each training patient `(n,)`; with `own` 1 in sum.
        near: Which training patients are its neighbours `(n,)`.
    """

    share: float
    says: Floats
    own: float
    weights: Floats
    near: np.ndarray


def joined(choice: Choice, nodes: Nodes, row: Floats) -> np.ndarray:
    """Tell which training patients are neighbours of a new one `(n,)`, its row `(d,)`."""
    if choice.feature is None or np.isnan(row[choice.feature]):
        return np.zeros(len(nodes.mass), dtype=bool)
    near: np.ndarray = np.abs(row[choice.feature] - nodes.matrix[:, choice.feature]) <= (choice.threshold or 0.0)
    return near


def voices(ensemble: Ensemble, row: Floats, itself: np.ndarray) -> list[Voice]:
    """Return what each learner says of a patient.

    Args:
        ensemble: The fitted ensemble.
        row: The patient as a row of the table in numbers `(d,)`.
        itself: Which nodes are the patient itself `(n,)`: their weight is its own.
    """
    nodes, said = ensemble.nodes, ensemble.said(row[None])[:, 0]
    found = []
    for learner, share, says in zip(ensemble.learners, ensemble.vote_shares, said, strict=True):
        near = joined(learner.choice, nodes, row)
        own, weights = pull(learner, nodes, near)
        aside = np.where(itself, 0.0, weights)
        found.append(Voice(float(share), says, own + float(weights[itself].sum()), aside, near & ~itself))
    return found


def pull(learner: Learner, nodes: Nodes, near: np.ndarray) -> tuple[float, Floats]:
    """Return the share of a new patient's own values, and of each training patient `(n,)`, in what a learner says.

    Of APPNP they are the factors with which H⁽⁰⁾ of the patient and H⁽ᵏ⁾ of its neighbours enter H⁽ᴷ⁾, which is linear
    in them: over the steps, (1 - a) (d_x d_j)^-½ of a neighbour. Of other convolutions, whose factors are learnt or
    hidden behind two layers, every neighbour and the patient itself count alike.
    """
    degree = 1 + float(nodes.mass[near].sum())
    if not isinstance(learner, IntervalLearner):
        return 1 / degree, np.where(near, nodes.mass, 0.0) / degree
    own, received, kept = 1.0, 0.0, 1 - learner.choice.teleport
    for _ in range(learner.steps):
        own, received = kept * own / degree + learner.choice.teleport, kept * (1 + received / degree)
    theirs = _degrees(learner.choice, nodes)
    weights = received * np.where(near, nodes.mass, 0.0) / np.sqrt(degree * theirs)
    total = own + float(weights.sum())
    return own / total, weights / total


def _degrees(choice: Choice, nodes: Nodes) -> Floats:
    """Mass of the neighbours of each training patient, itself with them `(n,)`."""
    graph = choice.graph(nodes.matrix, nodes.mass)
    return graph.degree[graph.group]


@dataclass(frozen=True, eq=False)
class Effects:
    """Steps by which a patient's own values lead from the mean answer to its answer.

    Attributes:
        start: Mean probability over the training patients that were drawn.
        of: What each column adds `(d,)`, by its graphs and by what learners read of it.
        end: Probability of the patient: `start` and all of `of`.
    """

    start: float
    of: Floats
    end: float


def value_effects(ensemble: Ensemble, row: Floats, target: int, draws: int = DRAWS, seed: int = 0) -> Effects:
    """Return Shapley values of a patient's columns for the probability of a class, by sampling.

    A training patient is turned into this one, column by column in a random order and again in the reverse order; the
    effect of a column is the mean change when it comes (Strumbelj & Kononenko 2014, algorithm 1). The effects of one
    way add up exactly to what it leads from and to, whatever the draws.

    Args:
        ensemble: The fitted ensemble; patients are answered alone, also where it is transductive.
        row: The patient `(d,)`.
        target: Number of the class.
        draws: Training patients that are turned, each in an order and its reverse.
        seed: Of patients and orders.
    """
    alone = replace(ensemble, settings=ensemble.settings.model_copy(update={"transductive": False}))
    rng, columns = np.random.default_rng([seed, 2]), len(row)
    chance = ensemble.nodes.mass / ensemble.nodes.mass.sum()
    starts = ensemble.nodes.matrix[rng.choice(len(chance), size=draws, p=chance)]
    orders = [rng.permutation(columns) for _ in range(draws)]
    both = [(start, order[::way]) for start, order in zip(starts, orders, strict=True) for way in (1, -1)]
    ways = np.empty((len(both), columns + 1, columns))
    for place, (start, order) in enumerate(both):
        turned = np.argsort(order)[None] < np.arange(columns + 1)[:, None]
        ways[place] = np.where(turned, row, start)
    answers = alone.probabilities(ways.reshape(-1, columns))[:, target].reshape(len(both), columns + 1)
    added = np.zeros(columns)
    for (_, order), steps in zip(both, np.diff(answers, axis=1), strict=True):
        added[order] += steps
    return Effects(float(answers[:, 0].mean()), added / len(both), float(answers[:, -1].mean()))
