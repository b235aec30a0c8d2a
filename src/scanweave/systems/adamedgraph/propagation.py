"""Exact personalised propagation (APPNP) on many interval graphs at once, by prefix sums.

H⁽⁰⁾ = MLP(X),  H⁽ᵏ⁺¹⁾ = (1 - a) D^-½ A D^-½ H⁽ᵏ⁾ + a H⁽⁰⁾   (Gasteiger et al. 2019, eq. 6), with A as in `intervals`.

All patients of a group receive the same from their neighbours, so that only group sums have to be carried through the
steps: s_g⁽ᵏ⁾ = Σ_i∈g w_i H_i⁽ᵏ⁾.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.systems.adamedgraph.intervals import IntervalGraph


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """C graphs of the same n patients, padded to G groups; see `IntervalGraph` for the fields.

    Attributes:
        group: `(C, n)`.
        low: `(C, G)`.
        high: `(C, G)`.
        scale: Degree to the power -½ `(C, G)`.
        group_mass: `(C, G)`.
        mass: `(n,)`, that of all graphs.
    """

    group: Tensor
    low: Tensor
    high: Tensor
    scale: Tensor
    group_mass: Tensor
    mass: Tensor

    @classmethod
    def of(cls, graphs: Sequence[IntervalGraph]) -> GraphBatch:
        """Stack graphs of the same patients."""
        groups = max(len(graph.low) for graph in graphs)

        def padded(arrays: Sequence[NDArray[Any]], fill: float) -> Tensor:
            rows = [np.pad(array, (0, groups - len(array)), constant_values=fill) for array in arrays]
            return torch.from_numpy(np.stack(rows))

        return cls(
            torch.from_numpy(np.stack([graph.group for graph in graphs])),
            padded([graph.low for graph in graphs], 0),
            padded([graph.high for graph in graphs], 0),
            padded([graph.degree**-0.5 for graph in graphs], 0.0),
            padded([graph.group_mass for graph in graphs], 0.0),
            torch.from_numpy(graphs[0].mass),
        )

    def sums(self, values: Tensor) -> Tensor:
        """Group sums of values that carry their mass already `(C, K, n)` → `(C, K, G)`."""
        empty = values.new_zeros(*values.shape[:2], self.low.shape[1])
        return empty.scatter_add_(2, self.group[:, None].expand_as(values), values)


def propagate(start: Tensor, graphs: GraphBatch, teleports: Tensor, steps: int) -> Tensor:
    """Carry H⁽⁰⁾ through `steps` steps, differentiably.

    Args:
        start: H⁽⁰⁾ `(C, K, n)`, double precision.
        graphs: The graphs.
        teleports: a for each graph `(C,)`.
        steps: How many.

    Returns:
        H⁽ˢᵗᵉᵖˢ⁾ `(C, K, n)`.
    """
    made: Tensor = _Propagation.apply(start, graphs, teleports, steps)
    return made


def prefixes(start: Tensor, graphs: GraphBatch, teleports: Tensor, steps: int) -> Tensor:
    """Return what a new patient needs of the training patients: prefix sums over groups of d^-½ s⁽ᵏ⁾, k < steps.

    Returns:
        `(C, K, steps, G + 1)`.
    """
    return torch.stack(_steps(graphs.sums(start * graphs.mass), graphs, teleports, steps)[0], dim=2)


def _steps(sums: Tensor, graphs: GraphBatch, teleports: Tensor, steps: int) -> tuple[list[Tensor], Tensor]:
    """Return prefix sums of each step, and what groups receive in the last one."""
    first, keep = sums, (1 - teleports)[:, None, None]
    scale = graphs.scale[:, None]
    low, high = (at[:, None].expand_as(sums) for at in (graphs.low, graphs.high))
    found: list[Tensor] = []
    received = torch.zeros_like(sums)
    for step in range(steps):
        if step:
            sums = graphs.group_mass[:, None] * received + teleports[:, None, None] * first
        total = torch.nn.functional.pad((scale * sums).cumsum(2), (1, 0))
        found.append(total)
        received = keep * scale * (total.gather(2, high) - total.gather(2, low))
    return found, received


def _propagated(start: Tensor, graphs: GraphBatch, teleports: Tensor, steps: int) -> Tensor:
    received = _steps(graphs.sums(start * graphs.mass), graphs, teleports, steps)[1]
    return received.gather(2, graphs.group[:, None].expand_as(start)) + teleports[:, None, None] * start


class _Propagation(torch.autograd.Function):
    """The operator P of all steps satisfies W P = Pᵀ W for masses W, so that its gradient is P again: nothing is kept.

    Without it, autograd would hold every prefix sum of every step of every candidate.
    """

    @staticmethod
    def forward(ctx: Any, start: Tensor, graphs: GraphBatch, teleports: Tensor, steps: int) -> Tensor:
        ctx.graphs, ctx.teleports, ctx.steps = graphs, teleports, steps
        return _propagated(start, graphs, teleports, steps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        mass = ctx.graphs.mass
        made = _propagated(gradient / mass, ctx.graphs, ctx.teleports, ctx.steps)
        return mass * made, None, None, None
