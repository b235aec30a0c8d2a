"""Weak learners: small MLPs whose outputs are propagated, all candidates of a round trained together.

Z = P_c · (W₂ relu(W₁ Xᵀ + b₁) + b₂), with P_c the propagation on the graph of candidate c. Weights have one leading
axis for candidates, so that one matrix product serves all; a loss that is the sum over candidates, and an optimiser
that works element by element, leave each as if it were trained alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import dropout, log_softmax

from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.intervals import Floats, Indices, IntervalGraph
from scanweave.systems.adamedgraph.propagation import GraphBatch, propagate

BUDGET = 2**27
"""Bytes of one array of candidates that are computed together, at most."""
FOLDS = 3
"""Learners without a graph that each leave out a part of the patients."""
SCALES = (1.0, 2.0, 4.0)
"""Factors that are tried on carried logits, since an average over neighbours is nearer to 0 than its parts."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of C learners of F inputs, H hidden units and K classes.

    Attributes:
        first: `(C, H, F)`.
        first_bias: `(C, H, 1)`.
        second: `(C, K, H)`.
        second_bias: `(C, K, 1)`.
    """

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor

    @classmethod
    def drawn(cls, candidates: int, inputs: int, hidden: int, classes: int, generator: torch.Generator) -> Weights:
        """Start all candidates from the same weights, so that they differ by their graphs alone."""

        def uniform(rows: int, columns: int) -> Tensor:
            bound = (6.0 / (rows + columns)) ** 0.5
            values = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
            return ((2 * values - 1) * bound).repeat(candidates, 1, 1)

        return cls(
            uniform(hidden, inputs),
            torch.zeros(candidates, hidden, 1, dtype=torch.float64),
            uniform(classes, hidden),
            torch.zeros(candidates, classes, 1, dtype=torch.float64),
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return all of them."""
        return self.first, self.first_bias, self.second, self.second_bias

    def only(self, candidate: int) -> Weights:
        """Return those of one candidate, C = 1."""
        return Weights(*(tensor[candidate : candidate + 1].detach().clone() for tensor in self.tensors()))

    def __call__(self, inputs: Tensor, drop: float = 0.0) -> Tensor:
        """Return H⁽⁰⁾ `(C, K, n)` of inputs `(F, n)`; `drop` is the share dropped before each layer when training."""
        count, units, width = self.first.shape
        product = self.first.reshape(count * units, width) @ dropout(inputs, drop)  # one product for all candidates
        hidden = torch.relu(product.reshape(count, units, -1) + self.first_bias)
        kept = dropout(hidden.new_ones(hidden.shape[1:]), drop)  # one mask for all: each as if trained alone
        return self.second @ (hidden * kept) + self.second_bias


@dataclass(frozen=True, eq=False)
class Task:
    """Data that weak learners are trained on.

    Attributes:
        inputs: Values of each patient `(n, F)`.
        target: Class of each `(n,)`; of no meaning where the weight is 0.
        weight: Weight of each in the loss `(n,)`.
        classes: K.
    """

    inputs: Floats
    target: Indices
    weight: Floats
    classes: int

    @cached_property
    def transposed(self) -> Tensor:
        """The inputs as `(F, n)`."""
        return torch.from_numpy(self.inputs.T.copy())


def held_bytes(hidden: int, inputs: int, patients: int) -> int:
    """Return the memory that one learner takes at least while it is trained [bytes].

    Args:
        hidden: H.
        inputs: F; its weights have gradients and two moments.
        patients: n; each hidden value is held before and after the rectifier, and with its gradients.
    """
    return torch.float64.itemsize * hidden * (4 * inputs + 4 * patients)


def train(
    task: Task, graphs: Sequence[IntervalGraph], teleports: Sequence[float], settings: BoostingSettings, seed: int
) -> tuple[list[Weights], Floats]:
    """Train one APPNP learner a graph, together.

    Args:
        task: Patients, classes and weights.
        graphs: Candidates, all of the same patients.
        teleports: a of each.
        settings: Sizes and schedule.
        seed: Of the weights and of dropout.

    Returns:
        The weights of each, and logits of all patients `(C, K, n)`.
    """
    weights: list[Weights] = []
    logits = []
    for chunk in _chunks(len(graphs), settings.hidden * len(task.target)):
        batch, share = GraphBatch.of(graphs[chunk]), torch.tensor(teleports[chunk], dtype=torch.float64)
        carry = partial(propagate, graphs=batch, teleports=share, steps=settings.steps)
        found = _trained(task, task.weight[None].repeat(len(share), axis=0), carry, settings, seed)
        weights += [found.only(candidate) for candidate in range(len(share))]
        with torch.no_grad():  # in evaluation mode, from the weights that are kept
            logits.append(carry(found(task.transposed)).numpy())
    return weights, np.concatenate(logits)


def unseen_logits(task: Task, settings: BoostingSettings, seed: int) -> Floats:
    """Return logits `(K, n)` of each patient from a learner without a graph that was not trained on that patient."""
    fold = np.random.default_rng(seed).permutation(len(task.target)) % FOLDS
    weights = task.weight * (fold != np.arange(FOLDS)[:, None])
    found = _trained(task, weights, lambda start: start, settings, seed)
    with torch.no_grad():
        return found(task.transposed).numpy()[fold, :, np.arange(len(fold))].T


def smoothed_losses(
    start: Floats, task: Task, graphs: Sequence[IntervalGraph], teleports: Sequence[float], steps: int
) -> Floats:
    """Return the weighted log loss `(C,)` of logits `(K, n)` carried over each graph, at the best of few scales."""
    target, weight = torch.from_numpy(task.target), torch.from_numpy(task.weight / task.weight.sum())
    losses = []
    for chunk in _chunks(len(graphs), start.size):
        batch, share = GraphBatch.of(graphs[chunk]), torch.tensor(teleports[chunk], dtype=torch.float64)
        carried = propagate(torch.from_numpy(start).expand(len(share), -1, -1), batch, share, steps)
        at = target.expand(len(share), 1, -1)
        tried = [-(log_softmax(scale * carried, 1).gather(1, at)[:, 0] * weight).sum(1) for scale in SCALES]
        losses.append(torch.stack(tried).amin(0).numpy())
    return np.concatenate(losses)


def _chunks(count: int, size: int) -> Iterator[slice]:
    """Yield candidates that are held at once, `size` numbers each."""
    step = max(1, BUDGET // (8 * size))
    return (slice(start, start + step) for start in range(0, count, step))


def _trained(
    task: Task, weights: Floats, carry: Callable[[Tensor], Tensor], settings: BoostingSettings, seed: int
) -> Weights:
    """Train candidates, each on its own weights of the patients `(C, n)`."""
    count = len(weights)
    target = torch.from_numpy(task.target).expand(count, 1, -1)
    share = torch.from_numpy(weights / weights.sum(1, keepdims=True))
    generator = torch.Generator().manual_seed(seed)
    found = Weights.drawn(count, len(task.transposed), settings.hidden, task.classes, generator)
    for tensor in found.tensors():
        tensor.requires_grad_()
    decayed, plain = [found.first, found.second], [found.first_bias, found.second_bias]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout takes no generator; the global state is put back afterwards
        for _ in range(settings.epochs):
            optimiser.zero_grad(set_to_none=True)
            logits = carry(found(task.transposed, settings.dropout))
            likelihood = log_softmax(logits, dim=1).gather(1, target)[:, 0]
            torch.autograd.backward(-(likelihood * share).sum())
            optimiser.step()
            schedule.step()
    return found
