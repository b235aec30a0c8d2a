"""The FROC curve: lesions found against false marks an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from scanweave.report.style import COLOURS, LINE, WIDTH, named, styled
from scanweave.report.values import Estimate

Array = NDArray[Any]
RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""Marks on the axis [false marks an image]."""


@styled
def froc_plot(
    curves: Mapping[str, tuple[Array, Array]],
    estimates: Mapping[str, Sequence[tuple[float, Estimate]]] | None = None,
    title: str = "FROC",
) -> Figure:
    """Draw FROC curves from 1/8 to 8 false marks an image, on a logarithmic axis.

    Args:
        curves: Of each name false marks an image `(K,)`, growing, and the sensitivity there `(K,)`.
        estimates: Of each name rates and the sensitivity there with its interval, drawn as points.
        title: Above the curves.
    """
    figure = Figure(figsize=(0.62 * WIDTH, 3.7), layout="constrained")
    axes = figure.subplots()
    for number, (name, (rates, sensitivities)) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        inside = np.unique(np.clip(np.append(rates, RATES), RATES[0], RATES[-1]))
        axes.plot(inside, np.interp(inside, rates, sensitivities), color=colour, label=name)
        points = [(rate, one) for rate, one in (estimates or {}).get(name, ()) if np.isfinite(rate)]
        if points:
            values = np.array([(one.value, one.low, one.high) for _, one in points])
            errors = np.abs(values[:, 1:] - values[:, :1]).T
            places = np.array([rate for rate, _ in points]) * 2 ** (0.06 * (number - (len(curves) - 1) / 2))
            axes.errorbar(places, values[:, 0], errors, fmt="o", color=colour, markersize=4, elinewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(RATES))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"1/{1 / rate:.0f}" if rate < 1 else f"{rate:g}"))
    axes.set(xlim=(0.115, 8.7), ylim=(-0.02, 1.02))
    axes.grid(color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set(xlabel="false marks an image", ylabel="lesions found", title=title)
    if len(curves) > 1:
        named(axes, loc="upper left")
    return figure
