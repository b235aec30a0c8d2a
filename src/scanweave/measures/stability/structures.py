"""Small structures that no training image shows: whether they come through, and whether they are seen.

An insert is added to the true image, measured with noise, and reconstructed; so is the image without it, with noise of
its own. The matched filter of the insert, its mean over a surrounding ring taken away, is applied to what the
reconstruction adds to the true background: signal and background are known exactly, so only noise and the errors of
the reconstruction are in the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation
from sklearn.metrics import roc_auc_score
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError
from scanweave.measures.batches import pieces
from scanweave.measures.stability.audit_setup import Setup

BoolArray = NDArray[np.bool_]
RING = 3
"""Width of the ring around an insert that it is compared with [pixels]."""
MARGIN = 0.28
"""Inserts of few pixels lie at least this share of the image from its edge, so inside the body."""


@dataclass(frozen=True, eq=False)
class Insert:
    """A structure: its shape and how it is called.

    Attributes:
        name: What it is.
        mask: Where it lies `(H, W)`.
    """

    name: str
    mask: BoolArray

    @property
    def template(self) -> NDArray[np.float64]:
        """The matched filter `(H, W)`: 1 inside over the pixels, minus the mean of the ring; sums to 0."""
        return np.asarray(self.mask / self.mask.sum() - self.ring / max(int(self.ring.sum()), 1), np.float64)

    @property
    def ring(self) -> BoolArray:
        """Pixels around it, one pixel off."""
        found: BoolArray = binary_dilation(self.mask, iterations=RING + 1) & ~binary_dilation(self.mask, iterations=1)
        return found


def dots(shape: tuple[int, int], sizes: Sequence[int] = (1, 2, 3), *, seed: int = 0) -> list[Insert]:
    """Return squares of some pixels, at random places in the middle of the image."""
    rng, found = np.random.default_rng([seed, 11]), []
    for size in sizes:
        mask = np.zeros(shape, bool)
        row, column = (int(rng.integers(int(MARGIN * n), int((1 - MARGIN) * n) - size + 1)) for n in shape)
        mask[row : row + size, column : column + size] = True
        found.append(Insert(f"{size} × {size} pixel{'s' * (size > 1)}", mask))
    return found


def symbols(shape: tuple[int, int], text: str = "CAN U SEE IT") -> list[Insert]:
    """Return a line of text, an arrow and a ring, in the middle of the image."""
    rows, columns = shape
    if min(shape) < 32:
        raise ScanweaveError("shape", f"{rows} × {columns} pixels are too few for text", "Audit images of 32² or more")
    words = text.split()
    fitting = text if len(text) * 6 <= 0.6 * columns else max(words, key=len)[: int(0.6 * columns // 6)]
    return [_text(shape, fitting), _arrow(shape), _ring(shape)]


def measure_structures(
    setup: Setup, inserts: Sequence[Insert], contrasts: Sequence[float], *, seed: int = 0
) -> pd.DataFrame:
    """Reconstruct every image with and without each insert at each contrast, by every method.

    Args:
        setup: Methods and images.
        inserts: What is added.
        contrasts: What it adds to a pixel, as shares of `setup.data_range`.
        seed: Of the measurement noise, of which the image without the insert has its own.

    Returns:
        One row a method, insert and contrast: `auc`, the probability that the filter's response with the insert is
        above that without, over all pairs of images; `cnr`, mean contrast to the ring over the ring's standard
        deviation; `recovered`, the share of the contrast that the reconstruction shows.
    """
    if not inserts or not contrasts:
        raise ScanweaveError("structures", "no insert or no contrast is given", "Give at least one of each")
    rows: list[dict[str, object]] = []
    for place, insert in enumerate(inserts):
        mask = torch.from_numpy(insert.mask).to(setup.truth)
        without = setup.measure(setup.truth, Generator().manual_seed(_seed(seed, place, 0)))
        absent = _responses(setup, insert, without)
        for number, contrast in enumerate(contrasts, start=1):
            shown = setup.truth.clone()
            shown[:, 0] += contrast * setup.data_range * mask
            with_it = setup.measure(shown, Generator().manual_seed(_seed(seed, place, number)))
            present = _responses(setup, insert, with_it)
            height = contrast * setup.data_range
            rows += [_row(name, insert, contrast, height, present[name], absent[name]) for name in setup.methods]
    return pd.DataFrame(rows)


def draw_inserts(setup: Setup, insert: Insert, contrast: float, *, image: int = 0, seed: int = 0) -> dict[str, Tensor]:
    """Return one image with an insert: the truth and every method's, `(H, W)` of the first channel."""
    shown = setup.truth[image : image + 1].clone()
    shown[:, 0] += contrast * setup.data_range * torch.from_numpy(insert.mask).to(shown)
    measured = setup.measure(shown, Generator().manual_seed(seed))
    with torch.no_grad():
        return {"truth": shown[0, 0]} | {name: method(measured)[0, 0] for name, method in setup.methods.items()}


def _responses(setup: Setup, insert: Insert, measured: Tensor) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Return by method the response of the matched filter, and the ring's standard deviation, of each image."""
    template, ring = torch.from_numpy(insert.template).double(), torch.from_numpy(insert.ring)
    found: dict[str, tuple[NDArray[np.float64], ...]] = {}
    for name, method in setup.methods.items():
        with torch.no_grad():
            made = torch.cat([method(part) for part in pieces(measured, 16)])
        added = (made[:, 0] - setup.truth[:, 0]).cpu().double()
        found[name] = (added * template).sum(dim=(1, 2)).numpy(), added[:, ring].std(dim=1).numpy()
    return found


def _row(
    name: str,
    insert: Insert,
    contrast: float,
    height: float,
    present: tuple[NDArray[np.float64], ...],
    absent: tuple[NDArray[np.float64], ...],
) -> dict[str, object]:
    sign = 1.0 if height >= 0 else -1.0
    labels = np.repeat([1, 0], [len(present[0]), len(absent[0])])
    auc = float(roc_auc_score(labels, sign * np.concatenate([present[0], absent[0]])))
    cnr = float(np.mean(sign * present[0] / np.maximum(present[1], 1e-30)))
    recovered = float(np.mean(present[0] - absent[0]) / height)
    return {"method": name, "insert": insert.name, "contrast": contrast, "auc": auc, "cnr": cnr, "recovered": recovered}


def _text(shape: tuple[int, int], text: str) -> Insert:
    rows, columns = shape
    picture = Image.new("1", (columns, rows))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=max(8, rows // 8))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pen.text(((columns - right - left) / 2, (rows - bottom - top) / 2 - rows / 8), text, fill=1, font=font)
    return Insert(f"text “{text}”", np.array(picture, bool))


def _arrow(shape: tuple[int, int]) -> Insert:
    rows, columns = shape
    mask = np.zeros(shape, bool)
    row, start, stop = round(0.6 * rows), round(0.3 * columns), round(0.5 * columns)
    mask[row, start:stop] = True
    head = max(2, rows // 24)
    for back in range(head + 1):
        mask[row - back, stop - back] = mask[row + back, stop - back] = True
    return Insert("arrow", mask)


def _ring(shape: tuple[int, int]) -> Insert:
    rows, columns = shape
    y, x = np.ogrid[:rows, :columns]
    distance = np.hypot(y - 0.6 * rows, x - 0.64 * columns)
    radius = max(2.5, rows / 20)
    return Insert("ring", (distance <= radius) & (distance > radius - 1.2))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
