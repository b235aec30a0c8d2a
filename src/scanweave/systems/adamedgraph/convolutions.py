"""Weak learners with the graph convolutions of torch_geometric: GCN, GraphSAGE, GAT.

New patients are appended with edges that lead from training patients to them only, and none between them. Then nothing
that a training patient receives changes, and each new one is answered as if it came alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.external import require
from scanweave.framework.table_columns import TableError
from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.ensemble import Choice, Nodes
from scanweave.systems.adamedgraph.intervals import Floats, Indices, IntervalGraph, neighbours
from scanweave.systems.adamedgraph.learners import Task

MOST_EDGES = 20_000_000
"""Most edges that are listed; larger graphs are for APPNP, which lists none."""
_LAYERS = {"gcn": "GCNConv", "sage": "SAGEConv", "gat": "GATConv"}


class ConvolutionNetwork(nn.Module):
    """Two convolutions with a ReLU between: F → H → K."""

    def __init__(self, kind: str, inputs: int, hidden: int, classes: int, drop: float) -> None:
        super().__init__()
        layer = getattr(require("torch_geometric.nn", "graph"), _LAYERS[kind])
        own: dict[str, Any] = {} if kind == "sage" else {"add_self_loops": False}  # edges hold each with itself
        self.first, self.second = layer(inputs, hidden, **own), layer(hidden, classes, **own)
        self.drop = nn.Dropout(drop)

    def forward(self, inputs: Tensor, edges: Tensor) -> Tensor:
        """Return logits `(n, K)` of patients `(n, F)` over edges `(2, E)`, from source to target."""
        return self.second(self.drop(torch.relu(self.first(self.drop(inputs), edges))), edges)


@dataclass(frozen=True, eq=False)
class ConvolutionLearner:
    """A fitted network of one graph; see `ensemble.Learner`.

    Attributes:
        choice: Its graph.
        kind: "gcn", "sage" or "gat".
        network: The network, in evaluation mode.
        nodes: The training patients.
        vote: α.
        error: Weighted training error.
    """

    choice: Choice
    kind: str
    network: ConvolutionNetwork = field(repr=False)
    nodes: Nodes = field(repr=False)
    vote: float = 0.0
    error: float = np.nan

    @classmethod
    def fitted(
        cls, choice: Choice, task: Task, nodes: Nodes, settings: BoostingSettings, seed: int
    ) -> ConvolutionLearner:
        """Train on one graph, full-batch, as `learners.train` does."""
        inputs, target = torch.from_numpy(task.inputs), torch.from_numpy(task.target)
        weight = torch.from_numpy(task.weight / task.weight.sum())
        edges = torch.from_numpy(_edges(choice.graph(nodes.matrix, nodes.mass)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ConvolutionNetwork(
                settings.learner, inputs.shape[1], settings.hidden, task.classes, settings.dropout
            ).double()
            optimiser = torch.optim.AdamW(
                network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs)
            for _ in range(settings.epochs):
                optimiser.zero_grad(set_to_none=True)
                losses = nn.functional.cross_entropy(network(inputs, edges), target, reduction="none")
                torch.autograd.backward((losses * weight).sum())
                optimiser.step()
                schedule.step()
        return cls(choice, settings.learner, network.eval(), nodes)

    def training_logits(self, nodes: Nodes) -> Floats:
        """See `Learner`."""
        edges = torch.from_numpy(_edges(self.choice.graph(nodes.matrix, nodes.mass)))
        with torch.no_grad():
            return self.network(torch.from_numpy(nodes.inputs), edges).numpy()

    def new_logits(self, matrix: Floats, inputs: Floats) -> Floats:
        """See `Learner`."""
        graph = self.choice.graph(self.nodes.matrix, self.nodes.mass)
        count = len(self.nodes.mass)
        low, high = neighbours(graph.values, self.choice.column(matrix), graph.threshold)
        order = np.argsort(graph.group, kind="stable")
        start = np.searchsorted(graph.group[order], np.arange(len(graph.low) + 1))
        number = start[high] - start[low]
        new = count + np.arange(len(matrix))
        offset = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        met = np.stack([order[np.repeat(start[low], number) + offset], np.repeat(new, number)])
        edges = np.hstack([_edges(graph), met, np.stack([new, new])])
        with torch.no_grad():
            both = torch.from_numpy(np.vstack([self.nodes.inputs, inputs]))
            return self.network(both, torch.from_numpy(edges))[count:].numpy()

    def voted(self, vote: float, error: float) -> ConvolutionLearner:
        """See `Learner`."""
        return replace(self, vote=vote, error=error)


def _edges(graph: IntervalGraph) -> Indices:
    counts = np.bincount(graph.group, minlength=len(graph.low))
    total = np.concatenate([[0], np.cumsum(counts)])
    number = int((total[graph.high] - total[graph.low])[graph.group].sum())
    if number > MOST_EDGES:
        raise TableError("learner", f"a graph has {number:,} edges, more than {MOST_EDGES:,}", "Use learner appnp")
    return graph.edges()
