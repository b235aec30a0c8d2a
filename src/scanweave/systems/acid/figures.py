"""Figures that only ACID has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from scanweave.report.slices import placed
from scanweave.report.style import ACCENT, DIFFERENCE, INK, LINE, SOFT, WIDTH, styled


@styled
def comparison_sheet(truth: Tensor, made: Mapping[str, Tensor], names: Sequence[str], count: int) -> Figure:
    """Draw the first images: the truth and every method's, and below them the absolute errors.

    Args:
        truth: `(N, C, H, W)`; the magnitude of two channels is shown, else the first channel.
        made: The same by method.
        names: Of the cases.
        count: Rows of images, at most.
    """
    count, columns = min(count, len(truth)), 1 + len(made)
    left, gap = 0.9, 0.04
    side = (WIDTH - left) / columns - gap
    tall = side * truth.shape[-2] / truth.shape[-1]
    figure = Figure(figsize=(WIDTH, 0.3 + count * (2 * tall + 0.14)))
    for row in range(count):
        real = grey(truth[row])
        low, high = 0.0, float(np.percentile(real, 99.8)) or 1.0
        errors = {name: np.abs(grey(images[row]) - real) for name, images in made.items()}
        limit = max(float(np.percentile(error, 99.5)) for error in errors.values()) or 1.0
        top = 0.3 + row * (2 * tall + 0.14)
        for column, (name, image) in enumerate([("truth", real), *((n, grey(i[row])) for n, i in made.items())]):
            axes = placed(figure, left + column * (side + gap), top, side, tall)
            axes.imshow(image, cmap="gray", vmin=low, vmax=high)
            if row == 0:
                axes.set_title(name, loc="center", pad=6)
            if column == 0:
                axes.set_ylabel(names[row], rotation=0, ha="right", va="center", labelpad=6, color=INK, fontsize=7)
                continue
            below = placed(figure, left + column * (side + gap), top + tall + 0.02, side, tall)
            below.imshow(errors[name], cmap=DIFFERENCE, vmin=0, vmax=limit)
    return figure


@styled
def convergence_plot(curve: Sequence[float], stop: float) -> Figure:
    """Draw the data residual by round without a stop, and where the loop stops in use, if it does."""
    figure = Figure(figsize=(0.6 * WIDTH, 2.7), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(curve)), curve, color=ACCENT, marker="o", markersize=2.5)
    if stop:
        axes.axhline(stop, color=SOFT, linewidth=1, linestyle="--")
        axes.text(len(curve) - 1, stop, "stop", color=SOFT, ha="right", va="bottom", fontsize=8)
    axes.set_title("‖p − A f‖ / ‖p‖ by round")
    axes.set_xlabel("round")
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    return figure


def grey(image: Tensor) -> np.ndarray:
    """Return what of an image `(C, H, W)` is shown: its magnitude if it has two channels, else the first."""
    shown = image.square().sum(dim=0).sqrt() if len(image) == 2 else image[0]
    return np.asarray(shown.detach().cpu().numpy())
