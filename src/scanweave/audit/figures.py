"""Figures of the stability audit."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanweave.measures.stability.attack import Attack
from scanweave.measures.stability.curve import NOISE, strongest
from scanweave.report.slices import placed
from scanweave.report.style import ACCENT, DIFFERENCE, LINE, SOFT, WIDTH, styled

COLOURS = ("#8fa3ab", "#c2803a", "#7a5195", ACCENT, "#3f8f4f", "#b0413e")
"""One a method, in their order."""
TOP = 0.45
"""Room above pictures for titles of two lines [inches]."""


@styled
def curve_plot(table: pd.DataFrame) -> Figure:
    """Draw relative error and amplification by size: worst found (lines) and noise of equal norm (dashed)."""
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    worst = strongest(table)
    noise = table[table["kind"] == NOISE]
    clean = table[table["kind"] == "none"].groupby("method")["error"].mean()
    for number, name in enumerate(dict.fromkeys(table["method"])):
        colour = COLOURS[number % len(COLOURS)]
        for rows, style, label in ((worst, "-", name), (noise, "--", None)):
            means = rows[rows["method"] == name].groupby("share")[["error", "amplification"]].mean()
            shares = 100 * means.index.to_numpy()
            left.plot([0, *shares], [clean[name], *means["error"]], style, color=colour, label=label)
            right.plot(shares, means["amplification"], style, color=colour, marker="o", markersize=3)
    _axes(left, "‖f(p + e) − x‖ / ‖x‖", "size of the perturbation η [%]")
    _axes(right, "amplification (‖f(p + e) − f(p)‖ / ‖x‖) / η", "size of the perturbation η [%]")
    right.set_xticks(sorted({100 * share for share in table["share"] if share}))
    _legend(figure, left)
    return figure


@styled
def history_plot(attacks: Mapping[tuple[str, float], Attack], share: float) -> Figure:
    """Draw how the change grew over the iterations of every restart, the mean over images, by method."""
    names = [name for name, size in attacks if size == share]
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    for number, (axes, name) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True)):
        for restart in attacks[name, share].history.mean(dim=2).cpu().numpy():
            axes.plot(restart, color=COLOURS[number % len(COLOURS)], linewidth=1)
        _axes(axes, fill(name, 14), "iteration")
        axes.set_ylim(bottom=0)
    return figure


@styled
def structure_plot(table: pd.DataFrame) -> Figure:
    """Draw the matched filter's AUC by contrast, a panel an insert."""
    inserts = list(dict.fromkeys(table["insert"]))
    columns = min(3, len(inserts))
    figure = Figure(figsize=(WIDTH, 0.3 + 2.3 * -(-len(inserts) // columns)), layout="constrained")
    panels = figure.subplots(-(-len(inserts) // columns), columns, squeeze=False, sharey=True).ravel()
    for axes, insert in zip(panels, inserts, strict=False):
        rows = table[table["insert"] == insert]
        for number, (name, group) in enumerate(rows.groupby("method", sort=False)):
            look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": "o", "markersize": 3}
            axes.plot(100 * group["contrast"], group["auc"], label=name, **look)
        _axes(axes, insert, "contrast [% of the range]")
        axes.set_xticks(sorted({100 * contrast for contrast in rows["contrast"]}))
        axes.axhline(0.5, color=SOFT, linewidth=0.7, linestyle=":")
        axes.set_ylim(-0.03, 1.05)
    _legend(figure, panels[0])
    for axes in panels[len(inserts) :]:
        axes.remove()
    return figure


@styled
def views_plot(table: pd.DataFrame) -> Figure:
    """Draw the mean PSNR by amount of data."""
    figure = Figure(figsize=(0.6 * WIDTH, 3.1), layout="constrained")
    axes = figure.subplots()
    for number, (name, group) in enumerate(table.groupby("method", sort=False)):
        means = group.groupby("factor")["psnr"].mean()
        axes.plot(means.index, means, color=COLOURS[number % len(COLOURS)], marker="o", markersize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(table["factor"])), [f"{factor:g}×" for factor in sorted(set(table["factor"]))])
    _axes(axes, "PSNR [dB]", "data, in those of the run's own scan")
    _legend(figure, axes)
    return figure


@styled
def picture_row(images: Mapping[str, NDArray[np.floating]], *, signed: bool = False) -> Figure:
    """Draw images side by side on one scale.

    Args:
        images: `(H, W)` by title.
        signed: Whether they are errors, from 0 up, rather than images.
    """
    gap, count = 0.05, len(images)
    side = min((WIDTH - 0.2) / count - gap, 2.4)
    rows, columns = next(iter(images.values())).shape
    figure = Figure(figsize=(0.2 + count * (side + gap), TOP + 0.05 + side * rows / columns))
    share, room = (99.8, 1.0) if signed else (98.0, 1.2)  # bone would leave all else black
    high = room * max(float(np.percentile(image, share)) for image in images.values()) or 1.0
    look: dict[str, Any] = {"cmap": DIFFERENCE if signed else "gray", "vmin": 0, "vmax": high}
    for number, (title, image) in enumerate(images.items()):
        axes = placed(figure, 0.1 + number * (side + gap), TOP, side, side * rows / columns)
        axes.imshow(image, **look)
        axes.set_title(fill(title, 14), loc="center", pad=5, fontsize=9)
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """Draw the methods below all panels, where they hide no line."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False, fontsize=8)


def _axes(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
