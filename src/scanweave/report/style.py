"""One look for all figures: white ground, little ink, one accent, colours safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK = "#1b2126"
SOFT = "#566069"
LINE = "#dfe4e7"
WASH = "#f1f4f5"
ACCENT = "#0b6472"
COLOURS = ("#0b6472", "#d98a1f", "#9c2f4f", "#6a7fb5", "#5c8f3a", "#7a5aa6", "#444b52", "#c2a83e")
"""Of classes, told apart by colour-blind readers too; then they repeat."""
OVER_GREY = ("#35d0e6", "#ffb000", "#ff6b9d", "#9be564", "#b79cff", "#ff8c42", "#f5f06b", "#ffffff")
"""Of structures drawn over grey images, in the same manner."""
PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#f4f7f8", "#8fc3cb", ACCENT, "#06343c"])
DIFFERENCE = "inferno"
WIDTH = 9.2
"""Width of a figure [inches] that fills the page."""

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "text.parse_math": False,
    "lines.linewidth": 1.6,
    "hatch.color": "#c3cacf",
    "hatch.linewidth": 0.8,
    "image.interpolation": "antialiased",
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the report's style whatever the user's own matplotlib settings are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return drawn


def bare(axes: Axes) -> None:
    """Take away ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def square(axes: Axes) -> None:
    """Make a plot of shares against shares: both axes from 0 to 1, equally long, with a light grid."""
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), box_aspect=1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)


def named(axes: Axes, **options: Any) -> None:
    """Write the legend, without a frame."""
    axes.legend(**{"frameon": False, "fontsize": 8, "labelcolor": SOFT, **options})
