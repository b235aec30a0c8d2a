"""SAMME over graphs: round by round the graph whose learner errs least on the patients that earlier ones got wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_softmax

from scanweave.framework.table_columns import Columns
from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.ensemble import Choice, IntervalLearner, Learner, Nodes
from scanweave.systems.adamedgraph.intervals import Floats, IntervalGraph, candidate_thresholds
from scanweave.systems.adamedgraph.learners import Task, Weights, smoothed_losses, train, unseen_logits

CHANCE_VOTE = 1e-3
"""Vote of a learner that does not beat chance and is kept because there is no other."""


def vote(error: float, classes: int, patients: float, shrinkage: float = 1.0, shrink: str = "whole") -> float:
    """Weight of a learner, α = s · (ln((1 - e) / e) + ln(K - 1))   (SAMME, Zhu et al. 2009, algorithm 2).

    `shrink="first"` multiplies the first term only, as published. An error of 0 is taken as half a patient: α stays
    finite.
    """
    error = min(max(error, 0.5 / patients), 1 - 0.5 / patients)
    odds, room = np.log((1 - error) / error), np.log(classes - 1)
    return float(shrinkage * odds + room if shrink == "first" else shrinkage * (odds + room))


def reweighted(weights: Floats, alpha: float, wrong: np.ndarray) -> Floats:
    """Return D_i ← D_i · exp(α [wrong]), to sum 1."""
    raised = weights * np.exp(alpha * wrong)
    return raised / raised.sum()


@dataclass
class Search:
    """The candidates of a fit, and what of them need not be trained twice.

    Attributes:
        nodes: The training patients.
        settings: How to boost.
        classes: K.
        choices: All candidates.
        rows: Patients on whom candidates compete.
    """

    nodes: Nodes
    settings: BoostingSettings
    classes: int
    choices: list[Choice]
    rows: np.ndarray
    _made: dict[tuple[int | None, float | None], IntervalGraph] = field(default_factory=dict, repr=False)
    _kept: dict[Choice, tuple[Weights, Floats]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, nodes: Nodes, columns: Columns, edges: Sequence[int], settings: BoostingSettings, classes: int
    ) -> Search:
        """List the candidates of a table.

        Args:
            nodes: The training patients.
            columns: The columns of the table.
            edges: Places of the columns that may make graphs.
            settings: How to boost.
            classes: K.
        """
        choices: list[Choice] = []
        for i in edges if settings.graphs != "none" else ():
            thresholds = candidate_thresholds(
                nodes.matrix[:, i],
                settings.levels,
                nodes.mass,
                categorical=columns.categories[i] is not None,
                of_values=settings.thresholds == "values",
            )
            choices += [Choice(i, q, theta, a) for q, theta in thresholds.items() for a in settings.teleports]
        if settings.graphs != "features" or not choices:
            choices.append(Choice(None, 0.0, None, 1.0))
        return cls(nodes, settings, classes, choices, _competitors(nodes, settings))

    def best(self, choices: Sequence[Choice], weights: Floats, base: Floats, turn: int) -> Learner:
        """Return the learner of lowest weighted error; among equals of lowest loss, then the first.

        Args:
            choices: Candidates of this round.
            weights: D of all patients `(n,)`, by which learners are compared and, with SAMME, trained.
            base: D of the first round, on which they are trained else.
            turn: Number of the round, for the seed.
        """
        learnt = weights if self.settings.loss_weights == "samme" else base
        if self.settings.learner != "appnp":
            return self._best_convolution(choices, weights, learnt, turn)
        rows, turn_seed = self.rows, self._seed(turn)
        part, share = self.nodes.take(rows), weights[rows]
        choices = self._finalists(choices, part, learnt[rows], turn_seed)
        found, logits = self._candidates(choices, part, learnt[rows], turn_seed)
        at = part.target.clip(0)
        errors = ((logits.argmax(1) != at) * share).sum(1)
        likelihood = np.take_along_axis(log_softmax(logits, axis=1), at[None, None], 1)[:, 0]
        winner = int(np.lexsort([-(likelihood * share).sum(1), errors.round(12)])[0])
        chosen, kept = choices[winner], found[winner]
        if len(rows) < len(self.nodes.mass):
            kept = self._trained(self.nodes, [chosen], [self._graph(chosen, self.nodes)], learnt, turn_seed)[0][0]
        return IntervalLearner.fitted(chosen, kept, self.settings.steps, self.nodes)

    def _finalists(self, choices: Sequence[Choice], part: Nodes, weights: Floats, seed: int) -> Sequence[Choice]:
        """Return the candidates worth training: those best for answers that did not see the patient's own class."""
        count = self.settings.finalists
        if count is None or len(choices) <= count:
            return choices
        task = self._task(part, weights)
        start = unseen_logits(task, self.settings, seed)
        graphs, teleports = self._graphs(choices, part), [choice.teleport for choice in choices]
        losses = smoothed_losses(start, task, graphs, teleports, self.settings.steps)
        return [choices[i] for i in np.sort(np.argsort(losses, kind="stable")[:count])]

    def _candidates(
        self, choices: Sequence[Choice], part: Nodes, weights: Floats, seed: int
    ) -> tuple[list[Weights], Floats]:
        """Return weights and logits of candidates; trained once for all rounds where training does not depend on D."""
        if self.settings.loss_weights == "samme":
            return self._trained(part, choices, self._graphs(choices, part), weights, seed)
        new = [choice for choice in choices if choice not in self._kept]
        if new:
            found, logits = self._trained(part, new, self._graphs(new, part), weights, self._seed(0))
            self._kept |= dict(zip(new, zip(found, logits, strict=True), strict=True))
        return [self._kept[choice][0] for choice in choices], np.stack([self._kept[choice][1] for choice in choices])

    def _trained(
        self, nodes: Nodes, choices: Sequence[Choice], graphs: Sequence[IntervalGraph], weights: Floats, seed: int
    ) -> tuple[list[Weights], Floats]:
        teleports = [choice.teleport for choice in choices]
        return train(self._task(nodes, weights), graphs, teleports, self.settings, seed)

    def _task(self, nodes: Nodes, weights: Floats) -> Task:
        return Task(nodes.inputs, nodes.target.clip(0), weights, self.classes)

    def _graphs(self, choices: Sequence[Choice], part: Nodes) -> list[IntervalGraph]:
        """Return graphs of the patients on whom candidates compete, each made once."""
        for choice in choices:
            key = (choice.feature, choice.threshold)
            if key not in self._made:
                self._made[key] = self._graph(choice, part)
        return [self._made[choice.feature, choice.threshold] for choice in choices]

    def _graph(self, choice: Choice, nodes: Nodes) -> IntervalGraph:
        return choice.graph(nodes.matrix, nodes.mass)

    def _best_convolution(self, choices: Sequence[Choice], weights: Floats, learnt: Floats, turn: int) -> Learner:
        from scanweave.systems.adamedgraph.convolutions import ConvolutionLearner

        def error(learner: Learner) -> float:
            wrong = learner.training_logits(self.nodes).argmax(1) != self.nodes.target
            return round(float((wrong * weights).sum()), 12)

        task = self._task(self.nodes, learnt)
        unique = {(choice.feature, choice.level): choice for choice in choices}.values()  # they know no teleport
        return min(
            (ConvolutionLearner.fitted(choice, task, self.nodes, self.settings, self._seed(turn)) for choice in unique),
            key=error,
        )

    def _seed(self, turn: int) -> int:
        return int(np.random.default_rng([self.settings.random_state, turn]).integers(2**31))


def _competitors(nodes: Nodes, settings: BoostingSettings) -> np.ndarray:
    """Return patients on whom candidates compete: all, or as many of each class as its share, drawn from the seed."""
    count = len(nodes.mass)
    if count <= settings.search_rows or settings.learner != "appnp":
        return np.arange(count)
    order = np.random.default_rng([settings.random_state, 7]).permutation(count)
    by_class = order[np.argsort(nodes.target[order], kind="stable")]
    return np.sort(by_class[np.linspace(0, count - 1, settings.search_rows).astype(int)])


def boosted(
    search: Search, start: Floats, plan: Sequence[Choice] | None = None, earlier: Sequence[Learner] = ()
) -> Iterator[Learner]:
    """Yield the learner of each round, until the rounds are up, no candidate is left, or none beats chance.

    Args:
        search: The candidates.
        start: D of the first round `(n,)`; 0 for patients without a label.
        plan: The graphs to learn again, one a round, in place of the search.
        earlier: Learners of the first rounds, of a fit that was stopped.
    """
    settings, nodes, classes = search.settings, search.nodes, search.classes
    weights = base = start / start.sum()
    left = list(search.choices)
    for turn in range(settings.rounds if plan is None else len(plan)):
        choices = left if plan is None else [plan[turn]]
        if not choices:
            return
        learner = earlier[turn] if turn < len(earlier) else _judged(search, choices, weights, base, turn)
        useless = learner.error >= 1 - 1 / classes and plan is None
        if useless and turn:
            return
        yield learner
        wrong = learner.training_logits(nodes).argmax(1) != nodes.target
        weights = reweighted(weights, learner.vote, wrong)
        if not settings.reuse:
            left = [choice for choice in left if choice.feature is None or choice.feature != learner.choice.feature]
        if useless:
            return


def _judged(search: Search, choices: Sequence[Choice], weights: Floats, base: Floats, turn: int) -> Learner:
    """Return the best learner of a round with its error and its vote."""
    settings, nodes = search.settings, search.nodes
    learner = search.best(choices, weights, base, turn)
    wrong = learner.training_logits(nodes).argmax(1) != nodes.target
    error = float((wrong * weights).sum())
    mass = nodes.mass[nodes.labelled]
    patients = float(mass.sum() / mass.min())  # of the lightest, so that the scale of weights does not count
    alpha = vote(error, search.classes, patients, settings.shrinkage, settings.shrink)
    return learner.voted(alpha if error < 1 - 1 / search.classes else CHANCE_VOTE, error)
