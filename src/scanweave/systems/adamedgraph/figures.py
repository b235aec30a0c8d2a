"""Pictures of AdaMedGraph: the patient graph, the network of patients, and a page about one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from scanweave.report.style import ACCENT, COLOURS, INK, LINE, SOFT, WIDTH, bare, styled

SKEWED = 10
"""Largest value over the median from which an axis is logarithmic."""
DRAWN = 400
"""Patients in the picture of a graph, at most."""
NEAREST = 3
"""Lines that a patient of the network starts."""


@styled
def patient_graph(
    values: np.ndarray, target: np.ndarray, classes: Sequence[str], name: str, threshold: float, seed: int = 0
) -> Figure:
    """Draw the patients along the column of a graph, in the colours of their classes, by their number of neighbours.

    A graph of one column is a band: neighbours are those within the threshold to the left and right.

    Args:
        values: The column `(n,)`; NaN is left out.
        target: Class of each `(n,)`.
        classes: Their names.
        name: Of the column.
        threshold: Largest difference between neighbours.
        seed: Of the patients that are shown.
    """
    rows = np.flatnonzero(~np.isnan(values))
    rows = np.random.default_rng(seed).permutation(rows)[:DRAWN]
    sorted_values = np.sort(values[~np.isnan(values)])
    low = np.searchsorted(sorted_values, values[rows] - threshold, "left")
    neighbours = np.searchsorted(sorted_values, values[rows] + threshold, "right") - low - 1
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    jitter = np.random.default_rng([seed, 1]).uniform(-0.02, 0.02, len(rows)) * max(1, neighbours.max(initial=1))
    for number, label in enumerate(classes):
        mine = target[rows] == number
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(
            values[rows][mine], (neighbours + jitter)[mine], s=14, color=colour, alpha=0.75, label=label, linewidths=0
        )
    middle = float(np.median(sorted_values))
    axes.axvspan(middle - threshold, middle + threshold, color=ACCENT, alpha=0.08, lw=0)
    axes.set_title(f"Patients joined by {name}: neighbours differ by at most {threshold:.3g}")
    if sorted_values[0] > 0 and sorted_values[-1] > SKEWED * middle:
        axes.set_xscale("log")
    axes.set_xlabel(name)
    axes.set_ylabel("neighbours")
    axes.legend(frameon=False, fontsize=8, labelcolor=SOFT, ncols=min(5, len(classes)))
    return figure


@styled
def patient_network(likeness: np.ndarray, target: np.ndarray, classes: Sequence[str], seed: int = 0) -> Figure:
    """Draw patients as a network, each joined to those it shares most votes with, in the colours of their classes.

    Args:
        likeness: Share of the votes that join two patients `(n, n)`.
        target: Class of each `(n,)`.
        classes: Their names.
        seed: Of the layout (Fruchterman and Reingold 1991: distances tell only roughly how alike patients are).
    """
    others = likeness - 2 * np.eye(len(likeness))
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :NEAREST]
    edges = {(min(i, j), max(i, j)) for i, row in enumerate(nearest) for j in row if others[i, j] > 0}
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(likeness)))
    graph.add_edges_from(sorted(edges))
    places = np.array(list(networkx.spring_layout(graph, k=1.5 / np.sqrt(max(1, len(likeness))), seed=seed).values()))
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    bare(axes)
    axes.spines[:].set_visible(False)
    lines = LineCollection([places[[i, j]] for i, j in sorted(edges)], colors=LINE, linewidths=0.6, zorder=0)
    axes.add_collection(lines)
    for number, label in enumerate(classes):
        mine = target == number
        x, y = places[mine].T
        axes.scatter(x, y, s=20, color=COLOURS[number % len(COLOURS)], label=label, linewidths=0)
    axes.legend(frameon=False, fontsize=8, labelcolor=SOFT, ncols=min(5, len(classes)))
    return figure


@styled
def patient_page(
    study: str,
    label: str,
    shares: Mapping[str, float],
    graphs: Sequence[tuple[str, Mapping[str, int]]],
    similar: Sequence[tuple[str, str, str, float]],
    note: str = "",
) -> Figure:
    """Draw one patient on a page: probabilities, the outcomes around it in each graph, the most similar patients.

    Args:
        study: Name of the case.
        label: What is predicted.
        shares: Probability of each class.
        graphs: For each graph what it joins by, and how many neighbours have each class.
        similar: Name, outcome, reason and likeness of similar patients.
        note: What is told beside the name.
    """
    rows = max(3, len(similar))
    figure = Figure(figsize=(WIDTH, 2.4 + 0.34 * max(len(shares), len(graphs)) + 0.26 * rows), layout="constrained")
    figure.suptitle(f"{study}\n", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    figure.text(0.01, 0.995, f"\n\n{note}", va="top", fontsize=8.5, color=SOFT)
    upper, lower = np.asarray(
        figure.subfigures(2, 1, height_ratios=[1.2 + 0.34 * max(len(shares), len(graphs)), 0.8 + 0.26 * rows])
    )
    left, right = upper.subplots(1, 2)
    places = np.arange(len(shares))[::-1]
    left.barh(places, list(shares.values()), color=[COLOURS[k % len(COLOURS)] for k in range(len(shares))], height=0.6)
    left.set_yticks(places, list(shares))
    left.set(xlim=(0, 1), xlabel="probability", title=f"{label}: what is likely")
    for place, value in zip(places, shares.values(), strict=True):
        left.text(min(value + 0.02, 0.9), place, f"{value:.2f}", va="center", fontsize=8.5, color=INK)
    places = np.arange(len(graphs))[::-1]
    start = np.zeros(len(graphs))
    for number, name in enumerate(shares):
        parts = np.array([counts[name] / max(1, sum(counts.values())) for _, counts in graphs])
        right.barh(places, parts, left=start, color=COLOURS[number % len(COLOURS)], height=0.6)
        start = start + parts
    right.set_yticks(places, [f"{words} (n = {sum(counts.values())})" for words, counts in graphs])
    right.set(xlim=(0, 1), xlabel="share of its neighbours", title="What became of its neighbours")
    axes = lower.subplots()
    bare(axes)
    axes.spines[:].set_visible(False)
    axes.set_title("The most similar patients")
    axes.set(xlim=(0, 1), ylim=(-rows, 0.8))
    cells = [(name, outcome, f"{likeness:.0%}", reason) for name, outcome, reason, likeness in similar]
    for number, line in enumerate([("study", label, "votes", "similar in"), *cells] if cells else []):
        for x, words in zip((0.0, 0.28, 0.48, 0.58), line, strict=True):
            axes.text(x, 0.4 - number, words[:60], fontsize=8.5, color=INK if number else SOFT, va="center")
    if not similar:
        axes.text(0, -0.5, "None: its variables that make graphs are missing, or like nobody's.", color=SOFT)
    return figure
