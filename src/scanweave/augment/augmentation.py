"""Augmented samples, each a pure function of a seed and an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scanweave.augment.affine import Matrix, draw_affine, moved, resampled, seen_box
from scanweave.augment.crops import Crop
from scanweave.augment.intensity import vary_intensity
from scanweave.augment.settings import AugmentationSettings

STREAM = 0x61756761
"""Keeps the numbers drawn here apart from those of others that draw from the same seed and index."""


class Augmented(NamedTuple):
    """Hold an augmented sample.

    Attributes:
        image: `(C, *size)`, float32.
        mask: `(M, *size)` of the type that was given, or None.
        matrix: Index in the sample → index in the image, `(axes + 1, axes + 1)`; `affine.moved_points` moves points,
            and so corners of boxes.
    """

    image: Tensor
    mask: Tensor | None
    matrix: Matrix


def augmented(
    image: Any,
    mask: Any | None,
    crop: Crop,
    seed: int,
    index: int,
    settings: AugmentationSettings,
    present: Sequence[bool] | None = None,
) -> Augmented:
    """Return sample `index` of an image: turned, sized, flipped, then varied in intensity.

    Of arrays on disk no more is read than the sample needs: the crop alone for most, somewhat more for a turned one.

    Args:
        image: `(C, *spatial)`, two or three axes; anything that slices give an array of.
        mask: Labels `(M, *spatial)` on the same grid, or None; the nearest voxel is taken.
        crop: What the sample shows where nothing is varied; the sample has its size.
        seed: Seed of the run.
        index: Number of the sample.
        settings: Shares and ranges.
        present: Whether each channel was acquired; absent ones are 0 in the sample. None: all were.
    """
    rng = np.random.default_rng([STREAM, seed, index])
    matrix = draw_affine(rng, crop, settings)
    box = seen_box(matrix, crop.size, image.shape[1:])
    within = moved(matrix, box.start)
    pixels = torch.from_numpy(np.ascontiguousarray(box.read(image), dtype=np.float32))
    seen = resampled(pixels, within, crop.size, border=settings.border)
    if present is not None:
        seen = torch.where(torch.tensor(present).view(-1, *[1] * len(crop.size)), seen, torch.zeros(()))
    labels = None
    if mask is not None:
        labels = torch.from_numpy(np.ascontiguousarray(box.read(mask)))
        labels = resampled(labels, within, crop.size, nearest=True, border=settings.border)
    return Augmented(vary_intensity(rng, seen, settings, present), labels, matrix)
