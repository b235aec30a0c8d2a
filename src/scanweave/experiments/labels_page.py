"""The page of a label-efficiency study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from scanweave.experiments.label_study import LabelResults, LabelStudy
from scanweave.report.blocks import Caution, Section, Table
from scanweave.report.blocks import Figure as Picture
from scanweave.report.page import write_report
from scanweave.report.provenance import environment
from scanweave.report.style import ACCENT, LINE, SOFT, WIDTH, styled
from scanweave.wording import count

PAGE = "labels.html"
COLOURS = ("#8fa3ab", ACCENT, "#c2803a", "#7a5195", "#3f8f4f", "#b0413e")
"""One an arm, random weights first."""
ROOM = 1.5
"""Factor by which the axis of counts goes beyond the first and the last."""
FEW_SEEDS = 3
"""Seeds below which no interval is worth reading."""


def write(folder: Path, found: LabelResults, study: LabelStudy, cautions: Sequence[str]) -> Path:
    """Write the page into a folder.

    Args:
        folder: Of the study.
        found: What was found.
        study: What was compared.
        cautions: What a reader must know first.
    """
    table, formats = found.table, {found.measure: "{:.3f}", "more than random weights": "{:+.3f}"}
    tested = count(len(study.test.patients), "test patient")
    lead = (
        f"{found.measure} on the same {tested}, by the number of labelled studies that trained. Lines are means over "
        f"{count(study.seeds, 'seed')}, with 95 % intervals (Student's t). For a count and a seed all arms have the "
        "same labelled studies."
    )
    blocks: list[Any] = [Caution(f"{line}.") for line in cautions]
    if study.seeds < FEW_SEEDS:
        blocks.append(Caution(f"{count(study.seeds, 'seed')}: which studies are drawn may decide more than the arm."))
    caption = f"{found.measure} by the number of labelled studies."
    blocks.append(Picture(curves(found), caption, caption, vector=True))
    rows = table.drop(columns="count").to_dict("records")
    blocks.append(Table(rows, "Every count and arm; differences are paired by seed.", formats))
    title = f"Label efficiency: {study.system}"
    about = {**environment(), "seeds": study.seeds, "fold": study.fold}
    subtitle = "Fits from pre-trained and from random weights, of the same network, with the same settings."
    return write_report(folder / PAGE, title, subtitle, [Section("By the number of labels", lead, blocks)], about)


@styled
def curves(found: LabelResults) -> Figure:
    """Draw the measure over the number of labelled studies, a line an arm, with intervals over seeds."""
    table = found.table
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (arm, group) in enumerate(table.groupby("arm", sort=False)):
        places = group["labelled studies"].to_numpy(float) * 1.03 ** (number - 1)
        values = np.array([[one.value, one.low, one.high] for one in group[found.measure]])
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)]}
        axes.plot(places, values[:, 0], marker="o", markersize=4, label=str(arm), **look)
        axes.vlines(places, values[:, 1], values[:, 2], linewidth=1.2, alpha=0.7, **look)
    axes.set_xscale("log")
    counts = table["labelled studies"]
    axes.set_xlim(counts.min() / ROOM, counts.max() * ROOM)  # else a single count fills the axis with nothing
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(table["labelled studies"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("labelled studies")
    axes.set_title(found.measure)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, labelcolor=SOFT, loc="lower right")
    return figure
