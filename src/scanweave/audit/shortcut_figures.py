"""Figures of the shortcut audit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scanweave.audit.film_changes import Corners, Image
from scanweave.audit.shortcut_results import Example, MappedFilm
from scanweave.measures.bootstrap import Interval
from scanweave.report.slices import grey_range, placed
from scanweave.report.style import ACCENT, COLOURS, DIFFERENCE, INK, LINE, OVER_GREY, SOFT, WIDTH, named, styled

FILM_INCHES = 2.9
"""Largest width of one of three films side by side."""
GAP, TOP = 0.06, 0.5
"""Between films, and above them, for titles of two lines [inches]."""
MARK, LESION = OVER_GREY[1], OVER_GREY[0]
"""Colours of the boxes of marks and of findings on films."""
ALARM = COLOURS[2]


MOST_ROWS = 24
"""Of a figure of flip rates; the table has all."""


@styled
def flip_plot(flips: pd.DataFrame) -> Figure:
    """Draw flip rates with their intervals: of the change at the mark (filled) and of its control (hollow).

    Args:
        flips: See `shortcut_tables.flip_table`; of many rows those that are found and the largest are drawn.
    """
    several = flips["run"].nunique() > 1
    if len(flips) > MOST_ROWS:
        rates = flips["flips"].map(lambda rate: rate.value)
        first = flips.assign(rate=rates).sort_values(["found", "rate"], ascending=False).index[:MOST_ROWS]
        flips = flips.loc[sorted(first)]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(flips)), layout="constrained")
    axes = figure.subplots()
    labels = []
    for place, row in enumerate(flips.to_dict("records")):
        colour = ALARM if row["found"] else ACCENT
        _whisker(axes, row["flips"], place - 0.12, {"color": colour, "marker": "o"})
        _whisker(axes, row["control"], place + 0.16, {"color": SOFT, "marker": "o", "markerfacecolor": "white"})
        change = "pasted in" if row["direction"] == "insertion" else "masked"
        run = f"{row['run']} · " if several else ""
        labels.append(f"{run}{row['finding']} · {row['mark']} {change}")
    handles = [
        axes.plot([], [], "o", color=ALARM, markersize=5, label="at the mark, above its control")[0],
        axes.plot([], [], "o", color=ACCENT, markersize=5, label="at the mark")[0],
        axes.plot([], [], "o", color=SOFT, markersize=5, markerfacecolor="white", label="control")[0],
    ]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("films whose call flips [%]")
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


@styled
def example_films(example: Example) -> Figure:
    """Draw a film as it is, changed at the mark, and the control, each with its probability and call."""
    changes = (
        (f"{example.mark} pasted in", "patch without one")
        if example.direction == "insertion"
        else (
            f"{example.mark} masked",
            "masked elsewhere",
        )
    )
    figure, panels = _films(example.images, [1.0] * len(example.images))
    boxes = (None, *example.boxes)
    for axes, title, share, called, box in zip(
        panels, ("as it is", *changes), example.shares, example.called, boxes, strict=True
    ):
        flipped = called != example.called[0]
        words = f"{example.finding} {share:.3g}, {'called' if called else 'not called'}"
        axes.set_title(f"{title}\n{words}", loc="left", fontsize=9, fontweight="normal", pad=5)
        axes.title.set_color(ALARM if flipped else INK)
        if box is not None:
            _boxes(axes, box, MARK)
    return figure


@styled
def mapped_film(mapped: MappedFilm) -> Figure:
    """Draw a film with the boxes of the finding and of marks, beside the map of the evidence with the same boxes."""
    figure, (left, right) = _films((mapped.image, mapped.map), [1.0, 1.0], heat=1)
    for axes, title in (
        (left, "film"),
        (right, f"evidence for {mapped.finding}, up to {mapped.map.max():.2g}"),
    ):
        axes.set_title(title, loc="left", fontsize=9, fontweight="normal", pad=5)
        _boxes(axes, mapped.lesions, LESION)
        _boxes(axes, mapped.marks, MARK)
    return figure


@styled
def dose_plot(doses: pd.DataFrame) -> Figure:
    """Draw excess flip rate (insertion, else removal) and AUROC against dose, a line a finding and mark.

    Args:
        doses: See `shortcut_tables.dose_table`.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, ((finding, mark), group) in enumerate(doses.groupby(["finding", "mark"], sort=False)):
        inserted = group[group["direction"] == "insertion"]
        rows = inserted if len(inserted) else group
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": "o", "markersize": 4}
        for axes, column, factor in ((left, "excess", 100.0), (right, "AUROC", 1.0)):
            known = rows[[not np.isnan(one.value) for one in rows[column]]]
            values = np.array([[one.value, one.low, one.high] for one in known[column]]).reshape(-1, 3) * factor
            axes.plot(known["dose"], values[:, 0], label=f"{finding} · {mark}", **look)
            axes.vlines(known["dose"], values[:, 1], values[:, 2], color=look["color"], linewidth=1, alpha=0.6)
    for axes, title in ((left, "excess flip rate over the control [%]"), (right, "AUROC on these films")):
        axes.set_title(title)
        axes.set_xlabel("dose")
        axes.set_xticks(sorted(set(doses["dose"])))
        axes.grid(axis="y", color=LINE, linewidth=0.7)
        axes.set_axisbelow(True)
    left.axhline(0, color=SOFT, linewidth=0.8, linestyle=":")
    right.axhline(0.5, color=SOFT, linewidth=0.8, linestyle=":")
    named(left, loc="upper left", labelcolor=INK)
    return figure


def _whisker(axes: Axes, found: Interval, place: float, look: dict[str, Any]) -> None:
    axes.plot(100 * found.value, place, markersize=5, linestyle="", zorder=3, **look)
    if not np.isnan(found.low):
        axes.plot([100 * found.low, 100 * found.high], [place, place], color=look["color"], linewidth=1.6, zorder=2)


def _films(images: tuple[Image, ...], widths: list[float], heat: int | None = None) -> tuple[Figure, list[Axes]]:
    """Return a figure of films `(X, Y)` side by side on the grey scale of the first; one of them may be a map."""
    low, high = grey_range(images[0][..., None])
    columns, rows = images[0].shape
    side = min(FILM_INCHES, (WIDTH - GAP) / len(images) - GAP)
    tall = side * rows / columns
    figure = Figure(figsize=(len(widths) * (side + GAP) + GAP, TOP + tall + GAP))
    panels = []
    for number, image in enumerate(images):
        axes = placed(figure, GAP + number * (side + GAP), TOP, side, tall)
        look: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high}
        if number == heat:
            look = {"cmap": DIFFERENCE, "vmin": 0, "vmax": float(image.max()) or 1.0}
        axes.imshow(image.T, aspect="auto", **look)
        panels.append(axes)
    return figure, panels


def _boxes(axes: Axes, boxes: Corners, colour: str) -> None:
    for (left, top), (right, bottom) in boxes:
        place = (left - 0.5, top - 0.5)
        axes.add_patch(Rectangle(place, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.2))
