"""Small pictures side by side, each with its title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from scanweave.report.slices import placed
from scanweave.report.style import SOFT, WIDTH, bare, styled

COLUMNS, GAP, TOP, LEFT = 4, 0.12, 0.42, 0.05
"""Pictures of a row; space between them, above each for its title, and at the left [inches]."""


@styled
def contact_sheet(pictures: Sequence[tuple[str, Image.Image]]) -> Figure:
    """Draw pictures in rows, in order.

    Args:
        pictures: The title of each, which may have two lines, and the picture.
    """
    wide = (WIDTH - 2 * LEFT - (COLUMNS - 1) * GAP) / COLUMNS
    tall = wide * max(picture.height / picture.width for _, picture in pictures)
    rows = -(-len(pictures) // COLUMNS)
    figure = Figure(figsize=(WIDTH, rows * (tall + TOP) + 0.1))
    for number, (title, picture) in enumerate(pictures):
        row, column = divmod(number, COLUMNS)
        axes = placed(figure, LEFT + column * (wide + GAP), TOP + row * (tall + TOP), wide, tall)
        bare(axes)
        axes.imshow(np.asarray(picture), cmap="gray")
        axes.set_title(title, loc="left", fontweight="normal", color=SOFT, fontsize=8, pad=4)
    return figure
