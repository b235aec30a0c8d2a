"""Fitted learners, how they answer for a new patient, and how their answers are joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from scipy.special import log_softmax, softmax

from scanweave.framework.table_columns import Columns, Scaler
from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.intervals import Floats, Indices, IntervalGraph, interval_graph, neighbours
from scanweave.systems.adamedgraph.learners import Weights
from scanweave.systems.adamedgraph.propagation import GraphBatch, prefixes, propagate


@dataclass(frozen=True)
class Choice:
    """Choice of a round.

    Attributes:
        feature: Column of the table that makes the graph; None: no graph.
        level: Quantile that the threshold stands for; 0 where equal values are neighbours.
        threshold: Largest difference between neighbours, in the unit of the column; None: nobody is a neighbour.
        teleport: Share of a patient's own values, a of APPNP.
    """

    feature: int | None
    level: float
    threshold: float | None
    teleport: float

    def column(self, matrix: Floats) -> Floats:
        """Return the column that makes the graph `(n,)`; all missing where there is none."""
        return np.full(len(matrix), np.nan) if self.feature is None else matrix[:, self.feature]

    def graph(self, matrix: Floats, mass: Floats) -> IntervalGraph:
        """Return the graph of patients `(n, d)`, each of a mass `(n,)`."""
        return interval_graph(self.column(matrix), self.threshold, mass)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Patients that a graph is made of.

    Attributes:
        matrix: The table as numbers `(n, d)`.
        inputs: What learners read of it `(n, F)`.
        target: Class of each `(n,)`; -1 for patients without a label.
        mass: Sample weight of each `(n,)`: a patient of weight 2 is two patients, to its neighbours and to the loss.
    """

    matrix: Floats
    inputs: Floats
    target: Indices
    mass: Floats

    @property
    def labelled(self) -> np.ndarray:
        """Nodes that have a class `(n,)`."""
        return self.target >= 0

    def take(self, rows: np.ndarray) -> Nodes:
        """Return some of them."""
        return Nodes(self.matrix[rows], self.inputs[rows], self.target[rows], self.mass[rows])

    def joined(self, matrix: Floats, inputs: Floats) -> Nodes:
        """Return these and new patients, of mass 1 and without a label."""
        count = len(matrix)
        return Nodes(
            np.vstack([self.matrix, matrix]),
            np.vstack([self.inputs, inputs]),
            np.concatenate([self.target, np.full(count, -1)]),
            np.concatenate([self.mass, np.ones(count)]),
        )


class Learner(Protocol):
    """A fitted weak learner."""

    @property
    def choice(self) -> Choice:
        """Its graph."""

    @property
    def vote(self) -> float:
        """α."""

    @property
    def error(self) -> float:
        """Weighted training error."""

    def training_logits(self, nodes: Nodes) -> Floats:
        """Return logits `(n, K)` of patients that make the graph together."""

    def new_logits(self, matrix: Floats, inputs: Floats) -> Floats:
        """Return logits `(m, K)` of new patients, each alone with the training patients, who do not see it."""

    def voted(self, vote: float, error: float) -> Learner:
        """Return the same with its vote α and its weighted training error."""


@dataclass(frozen=True, eq=False)
class IntervalLearner:
    """An MLP and APPNP on the graph of one column, with what a new patient needs of the training patients.

    Attributes:
        choice: Its graph.
        weights: Of the MLP, one candidate.
        steps: Propagation steps.
        values: Distinct values of the training patients, sorted `(U,)`.
        mass_before: Mass of the training patients below each value `(U + 1,)`.
        carried: Prefix sums over values of what they hand on in each step `(K, steps, U + 1)`.
        vote: α; see `boosting.vote`.
        error: Weighted training error.
    """

    choice: Choice
    weights: Weights
    steps: int
    values: Floats
    mass_before: Floats
    carried: Floats
    vote: float = 0.0
    error: float = np.nan

    @classmethod
    def fitted(cls, choice: Choice, weights: Weights, steps: int, nodes: Nodes) -> IntervalLearner:
        """Note what the training patients hand on."""
        graph = choice.graph(nodes.matrix, nodes.mass)
        with torch.no_grad():
            start = weights(torch.from_numpy(nodes.inputs.T.copy()))
            share = torch.tensor([choice.teleport], dtype=torch.float64)
            carried = prefixes(start, GraphBatch.of([graph]), share, steps)[0].numpy()
        count = len(graph.values)
        mass_before = np.concatenate([[0.0], np.cumsum(graph.group_mass[:count])])
        return cls(choice, weights, steps, graph.values, mass_before, carried[..., : count + 1].copy())

    def training_logits(self, nodes: Nodes) -> Floats:
        """See `Learner`."""
        graph = GraphBatch.of([self.choice.graph(nodes.matrix, nodes.mass)])
        share = torch.tensor([self.choice.teleport], dtype=torch.float64)
        with torch.no_grad():
            start = self.weights(torch.from_numpy(nodes.inputs.T.copy()))
            return propagate(start, graph, share, self.steps)[0].T.numpy()

    def new_logits(self, matrix: Floats, inputs: Floats) -> Floats:
        """Return logits of new patients, each alone.

        H_x⁽ᵏ⁺¹⁾ = (1 - a) [Σ_j (d_x d_j)^-½ w_j H_j⁽ᵏ⁾ + H_x⁽ᵏ⁾ / d_x] + a H_x⁽⁰⁾, d_x = 1 + Σ_j w_j (j near x).
        """
        low, high = neighbours(self.values, self.choice.column(matrix), self.choice.threshold or 0.0)
        degree = self.mass_before[high] - self.mass_before[low] + 1
        with torch.no_grad():
            start = self.weights(torch.from_numpy(inputs.T.copy()))[0].numpy()
        state = start
        for step in range(self.steps):
            received = (self.carried[:, step, high] - self.carried[:, step, low]) / np.sqrt(degree)
            state = (1 - self.choice.teleport) * (received + state / degree) + self.choice.teleport * start
        return state.T

    def voted(self, vote: float, error: float) -> IntervalLearner:
        """See `Learner`."""
        return replace(self, vote=vote, error=error)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All that answers for a patient.

    Attributes:
        settings: What it was boosted with.
        columns: The columns of the table.
        scaler: What learners read of it.
        read: Places of the columns that learners read.
        nodes: The training patients.
        learners: In the order of the rounds.
        classes: K.
        temperature: What log-probabilities are divided by.
    """

    settings: BoostingSettings
    columns: Columns
    scaler: Scaler
    read: tuple[int, ...]
    nodes: Nodes
    learners: tuple[Learner, ...]
    classes: int
    temperature: float = 1.0

    @cached_property
    def votes(self) -> Floats:
        """α of each learner `(T,)`."""
        return np.array([learner.vote for learner in self.learners])

    @cached_property
    def vote_shares(self) -> Floats:
        """Return the weight of each learner in an answer `(T,)`, 1 in sum: its vote, or what a running mean leaves."""
        kept = self.votes
        if self.settings.voting == "running":  # P_t = (P_{t-1} + α_t h_t) / A_t: what came first is divided most often
            kept = kept / np.cumprod(np.cumsum(kept)[::-1])[::-1]
        shares: Floats = kept / kept.sum()
        return shares

    def said(self, matrix: Floats) -> Floats:
        """Return the probabilities of each learner by itself `(T, m, K)`, of new patients `(m, d)`."""
        logits = self._logits(matrix, self.scaler(matrix, self.read))
        return np.stack([softmax(values, axis=1) for values in logits])

    def staged(self, matrix: Floats) -> Iterator[Floats]:
        """Yield probabilities `(m, K)` after each round, of new patients `(m, d)`."""
        inputs = self.scaler(matrix, self.read)
        for joined in join(self._logits(matrix, inputs), self.votes, self.settings.voting):
            yield softmax(np.log(joined.clip(1e-12)) / self.temperature, axis=1)

    def probabilities(self, matrix: Floats) -> Floats:
        """Return probabilities `(m, K)` after the last round."""
        found = np.empty(0)
        for found in self.staged(matrix):  # noqa: B007 - the last one is wanted
            pass
        return found

    def _logits(self, matrix: Floats, inputs: Floats) -> Iterator[Floats]:
        if self.settings.transductive:
            joined = self.nodes.joined(matrix, inputs)
            return (learner.training_logits(joined)[len(self.nodes.mass) :] for learner in self.learners)
        return (learner.new_logits(matrix, inputs) for learner in self.learners)


def join(logits: Iterator[Floats] | Sequence[Floats], votes: Floats, voting: str) -> Iterator[Floats]:
    """Yield probabilities after each learner from logits `(m, K)` of each and their votes α.

    Running sums stay raw and are divided on reading. `running` does as the released code, P_t = (P_{t-1} + α_t h_t) /
    A_t with A_t = Σ α, in which the first learners fade as 1/T!.
    """
    total = running = np.zeros(())
    for number, (values, vote) in enumerate(zip(logits, votes, strict=True), start=1):
        weight = votes[:number].sum()
        if voting == "soft":
            total = total + vote * softmax(values, axis=1)
            yield total / weight
        elif voting == "votes":
            total = total + vote * np.eye(values.shape[1])[values.argmax(1)]
            yield total / weight
        elif voting == "logits":
            total = total + vote * values
            yield softmax(total / weight / (values.shape[1] - 1), axis=1)
        else:
            running = (running + vote * values) / weight
            yield softmax(running / (values.shape[1] - 1), axis=1)


def log_loss(probabilities: Floats, target: Indices, weight: Floats) -> float:
    """Return the weighted mean of -log p of the true class."""
    likelihood = np.log(probabilities[np.arange(len(target)), target].clip(1e-12))
    return float(-np.average(likelihood, weights=weight))


def fitted_temperature(probabilities: Floats, target: Indices, weight: Floats) -> float:
    """Return the temperature T that makes softmax(log p / T) most likely (Guo et al. 2017), between 1/4 and 4."""
    from scipy.optimize import minimize_scalar

    logs = np.log(probabilities.clip(1e-12))
    rows = np.arange(len(target))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logs / np.exp(log_temperature), axis=1)[rows, target]
        return float(-np.average(scaled, weights=weight))

    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(4), np.log(4)), method="bounded").x))
