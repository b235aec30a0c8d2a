"""Best possible answers: the probability of an outcome given the factors that any set of modalities shows.

Factors that are not shown are integrated out over their standard normal distribution. Given what is shown, the log-odds
are normal, but for a product of two factors of which neither is shown; then one is integrated over on the outside. The
trapezoidal rule does it: for analytic functions that fall as a Gaussian its error falls exponentially with the step
(Trefethen and Weideman, SIAM Review 2014, 56:385), faster than that of Gauss–Hermite nodes on steep logistic functions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray

from scanweave.measures import shapley as measures
from scanweave.simulate.breast.outcomes import FACTORS, MODALITIES, Outcome

Array = NDArray[np.float64]
Subset = tuple[str, ...]

_REACH = 8.0
"""Where the normal distribution is cut off: 1e-15 lies beyond."""
_STEPS = {1: 0.2, 2: 0.5}
"""Step of the rule by the number of log-odds."""
_OUTER_STEP = 0.25
"""Step over a factor whose product with another is not normal."""
_AT_ONCE = 200
"""Patients whose nodes are held in memory at once."""


def subsets_of(modalities: Sequence[str]) -> list[Subset]:
    """Return all sets of some modalities, the empty one first, each in the order of `MODALITIES`."""
    names = [name for name in MODALITIES if name in modalities]
    return list(chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)))


def posterior(outcome: Outcome, factors: Array, shown_by: Collection[str]) -> Array:
    """Return the probability of each class given what some modalities show, `(N, C)`.

    Args:
        outcome: The outcome and its coefficients.
        factors: Values of `FACTORS`, `(N, 4)`; those that are not shown are not looked at.
        shown_by: The modalities that are present.
    """
    shown = np.array([name in shown_by for name in list(MODALITIES)[: len(FACTORS)]])
    if not any(outcome.products) or shown[:2].any():
        return _of_normal(outcome, factors, shown)
    nodes, weights = _rule(_OUTER_STEP)
    total = np.zeros((len(factors), len(outcome.classes)))
    shown[0] = True
    for node, weight in zip(nodes, weights, strict=True):
        assumed = factors.copy()
        assumed[:, 0] = node
        total += weight * _of_normal(outcome, assumed, shown)
    return total


def shapley_values(worths: Mapping[Subset, Array], modalities: Sequence[str]) -> dict[str, Array]:
    """Return the exact Shapley value of each modality; they add up to the worth of all less that of none.

    Args:
        worths: The worth v of each of `subsets_of(modalities)`, such as log-odds of patients, `(N,)`.
        modalities: The M modalities.
    """
    masks = {sum(2 ** modalities.index(name) for name in subset): worth for subset, worth in worths.items()}
    return dict(zip(modalities, measures.shapley_values(masks).T, strict=True))


def _of_normal(outcome: Outcome, factors: Array, shown: NDArray[np.bool_]) -> Array:
    """Return the probabilities `(N, C)` where the log-odds are normal given the factors that are shown."""
    known = np.where(shown, factors, 0.0)
    loads = np.broadcast_to(np.array(outcome.weights), (len(factors), len(outcome.intercepts), len(FACTORS))).copy()
    for factor, other in ((0, 1), (1, 0)):
        loads[:, :, factor] += known[:, other, None] * outcome.products
    loads[:, :, shown] = 0
    means = outcome.log_odds(known)
    return np.concatenate(
        [_mean_softmax(means[at : at + _AT_ONCE], loads[at : at + _AT_ONCE]) for at in range(0, len(means), _AT_ONCE)]
    )


def _mean_softmax(means: Array, loads: Array) -> Array:
    """Return the mean of softmax(0, m + L z) over normal z, `(N, C)`, of m `(N, D)` and L `(N, D, F)`."""
    size = means.shape[1]
    root = np.linalg.qr(loads.transpose(0, 2, 1)).R.transpose(0, 2, 1)  # root rootᵀ = L Lᵀ
    nodes, weights = _rule(_STEPS[size]) if loads.any() else (np.zeros(1), np.ones(1))
    grid = np.array(list(product(nodes, repeat=size)))
    shares = np.prod(list(product(weights, repeat=size)), axis=1)
    odds = np.exp(means[:, :, None] + root @ grid.T)
    scale = shares / (1 + odds.sum(axis=1))
    return np.column_stack([scale.sum(axis=1), (odds * scale[:, None, :]).sum(axis=2)])


def _rule(step: float) -> tuple[Array, Array]:
    """Return nodes and weights of the trapezoidal rule for the standard normal distribution; weights add up to 1."""
    count = round(_REACH / step)
    nodes = step * np.arange(-count, count + 1, dtype=np.float64)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, np.asarray(weights / weights.sum())
