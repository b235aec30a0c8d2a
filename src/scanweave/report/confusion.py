"""The confusion matrix: what was called what, in numbers and in shares of the true class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from scanweave.errors import ScanweaveError
from scanweave.report.style import INK, PROBABILITY, WIDTH, styled

CELL_INCHES = 0.72
FLAT_CHARACTERS = 45
"""Classes times the longest name up to which names stand upright below the matrix."""
LONGEST_NAME = 18
"""Characters of a class name that are shown; of a longer one its first and last `HALF_NAME`."""
HALF_NAME = 8


@styled
def confusion_plot(counts: ArrayLike, names: Sequence[str], title: str = "What was called what") -> Figure:
    """Draw a confusion matrix, coloured by the share of the true class (its row), with the numbers in it.

    Args:
        counts: `(C, C)`, row = true class, column = called class.
        names: Of the classes.
        title: Above the matrix.

    Raises:
        ScanweaveError: The counts are not `(C, C)` for C names.
    """
    table = np.asarray(counts)
    if table.shape != (len(names), len(names)):
        raise ScanweaveError("counts", f"of shape {table.shape} for {len(names)} classes", "Give a row and column each")
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:HALF_NAME]}…{name[-HALF_NAME:]}" for name in names]
    side = min(WIDTH - 2.2, max(2.2, CELL_INCHES * len(names)))
    figure = Figure(figsize=(side + 2.2, side + 1.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=PROBABILITY, vmin=0, vmax=1)
    size = 9 if len(names) <= 6 else 7
    for (row, column), number in np.ndenumerate(table):
        share = shares[row, column]
        words = f"{number}\n{share:.0%}" if number else "0"
        colour = "white" if share > 0.5 else INK
        axes.text(column, row, words, ha="center", va="center", fontsize=size, color=colour, linespacing=1.35)
    places = np.arange(len(names))
    tilted = max(map(len, shown)) * len(names) > FLAT_CHARACTERS
    axes.set_xticks(places, shown, rotation=40 if tilted else 0, ha="right" if tilted else "center")
    axes.set_yticks(places, [f"{name}\n(n = {number})" for name, number in zip(shown, table.sum(axis=1), strict=True)])
    axes.set_xticks(places[:-1] + 0.5, minor=True)
    axes.set_yticks(places[:-1] + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="called", ylabel="true", title=title)
    return figure
