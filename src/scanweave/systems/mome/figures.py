"""Figures of what modalities give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scanweave.report.style import ACCENT, SOFT, WIDTH, styled

ROW_INCHES, FRAME_INCHES = 0.28, 0.9
"""Height of a bar, and of what is around the bars."""


@styled
def contribution_bars(summary: pd.DataFrame, modalities: Sequence[str]) -> Figure:
    """Draw the mean size of each modality's contribution by output, with intervals over patients.

    Args:
        summary: Rows of `measures.summary.summarise` with `output`, `modality` and the measure `size`.
        modalities: In order from top to bottom.
    """
    rows = summary[summary["measure"] == "size"]
    outputs = list(dict.fromkeys(rows["output"]))
    tall = FRAME_INCHES + ROW_INCHES * len(modalities)
    figure = Figure(figsize=(WIDTH, tall))
    every = figure.subplots(1, len(outputs), sharey=True, squeeze=False)[0]
    for axes, output in zip(every, outputs, strict=True):
        mine = rows[rows["output"] == output].set_index("modality").reindex(modalities)
        values = mine["mean"].to_numpy(dtype=float)
        ends = np.stack([values - mine["low"].to_numpy(dtype=float), mine["high"].to_numpy(dtype=float) - values])
        places = np.arange(len(modalities))
        axes.barh(places, np.nan_to_num(values), color=ACCENT, height=0.6)
        axes.errorbar(values, places, xerr=np.nan_to_num(ends.clip(min=0)), fmt="none", ecolor=SOFT, linewidth=1)
        axes.set_yticks(places, modalities)
        axes.set_title(output, fontsize=9, fontweight="normal")
        axes.set_xlabel("mean |log-odds|")
        axes.set_xlim(left=0)
    every[0].invert_yaxis()
    figure.tight_layout()
    return figure
