"""Pictures of AdaMedGraph: the patient graph and the network of patients."""

from __future__ import annotations

from collections.abc import Sequence

import networkx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from scanweave.report.style import ACCENT, COLOURS, LINE, SOFT, WIDTH, bare, styled
from scanweave.wording import count

LOG_AXIS_RATIO = 10
"""Largest value over the median from which an axis is logarithmic."""
DRAWN = 400
"""Patients in the picture of a graph, at most."""
NEAREST = 3
"""Lines that a patient of the network starts."""
TIE = 1e-9
"""Likeness by which equal ones are told apart at random, far below any vote."""
SHAPE = 1.8
"""Width of the network over its height."""
ROOM = 0.42
"""Half the width of a connected part over that of its square: the rest is the gap to others."""
TAIL = 1
"""Percent of the patients at each end of a column that may lie beyond the axis."""


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
    if sorted_values[0] > 0 and sorted_values[-1] > LOG_AXIS_RATIO * middle:
        axes.set_xscale("log")
    beyond = _bound(axes, values[rows])
    axes.set_xlabel(f"{name} ({count(beyond, 'patient')} beyond)" if beyond else name)
    axes.set_ylabel("neighbours")
    axes.legend(frameon=False, fontsize=8, labelcolor=SOFT, ncols=min(5, len(classes)))
    return figure


def _bound(axes: Axes, values: np.ndarray) -> int:
    """End the axis of a column where nearly all patients are, if a few stretch it; return how many lie beyond."""
    low, high = np.percentile(values, (TAIL, 100 - TAIL))
    wide = (high - low) / 4
    if axes.get_xscale() == "log" or np.ptp(values) < 8 * wide:
        return 0
    axes.set_xlim(low - wide, high + wide)
    return int(((values < low - wide) | (values > high + wide)).sum())


def _places(graph: networkx.Graph, seed: int) -> np.ndarray:
    """Return places `(n, 2)`: each connected part laid out by itself in a square of its size, squares packed in rows.

    All in one layout would fly apart, and be drawn as dots with much white between.
    """
    parts = sorted(networkx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    sides = np.sqrt([len(part) for part in parts])
    packed = [_in_rows(sides, width) for width in np.cumsum(sides)]
    corners = min(packed, key=lambda at: max((at[:, 0] + sides).max() / SHAPE, (at[:, 1] + sides).max()))
    places = np.zeros((len(graph), 2))
    for part, side, corner in zip(parts, sides, corners, strict=True):
        own = sorted(part)
        laid = networkx.spring_layout(graph.subgraph(own), k=1.5 / side, seed=seed)
        found = np.array([laid[node] for node in own])
        low, span = found.min(0), np.ptp(found, axis=0)
        # A layout is often long and thin: its room is filled along both axes, since no direction has a meaning.
        shares = np.where(span > 0, (found - low) / np.where(span > 0, span, 1), 0.5)
        places[own] = corner + side * (0.5 + 2 * ROOM * (shares - 0.5))
    return places


def _in_rows(sides: np.ndarray, width: float) -> np.ndarray:
    """Return the corners `(n, 2)` of squares, the largest first, set side by side in rows of at most that width."""
    corners, left, top, height = [], 0.0, 0.0, 0.0
    for side in sides:
        if left + side > width * (1 + 1e-9):
            left, top, height = 0.0, top + height, 0.0
        corners.append((left, top))
        left, height = left + side, max(height, side)
    return np.array(corners)


@styled
def patient_network(likeness: np.ndarray, target: np.ndarray, classes: Sequence[str], seed: int = 0) -> Figure:
    """Draw patients as a network, each joined to those it shares most votes with, in the colours of their classes.

    Args:
        likeness: Share of the votes that join two patients `(n, n)`.
        target: Class of each `(n,)`.
        classes: Their names.
        seed: Of the layout (Fruchterman and Reingold 1991: distances tell only roughly how alike patients are).
    """
    ties = np.random.default_rng([seed, 1]).uniform(0, TIE, likeness.shape)  # else all who are alike join the first
    others = likeness - 2 * np.eye(len(likeness)) + ties * (likeness > 0)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :NEAREST]
    edges = {(min(i, j), max(i, j)) for i, row in enumerate(nearest) for j in row if others[i, j] > 0}
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(likeness)))
    graph.add_edges_from(sorted(edges))
    places = _places(graph, seed)
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    bare(axes)
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal", adjustable="datalim")
    lines = LineCollection([places[[i, j]] for i, j in sorted(edges)], colors=LINE, linewidths=0.6, zorder=0)
    axes.add_collection(lines)
    for number, label in enumerate(classes):
        mine = target == number
        x, y = places[mine].T
        axes.scatter(x, y, s=20, color=COLOURS[number % len(COLOURS)], label=label, linewidths=0)
    figure.legend(loc="outside upper right", frameon=False, fontsize=8, labelcolor=SOFT, ncols=min(5, len(classes)))
    return figure
