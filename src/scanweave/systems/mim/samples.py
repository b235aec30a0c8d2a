"""Training samples: a crop of one scan and what is hidden in it at every level; each a function of seed and number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from scanweave.augment.crops import Crop, uniform_crop
from scanweave.framework.network_task import draw_study
from scanweave.framework.scan_preparation import read_crop
from scanweave.studies.preparing.preparation import Volume
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mim.levels import AXES, Level, draw_masks
from scanweave.systems.mim.objective import masks_as_tensors

Sample = dict[str, Any]
"""A crop and its masks, or a batch of them."""


class Image(NamedTuple):
    """Name one scan of a prepared study."""

    study: CachedStudy
    scan: str


def images_of(studies: Sequence[CachedStudy]) -> list[Image]:
    """Return every scan of every study, each an image by itself."""
    return [Image(study, name) for study in studies for name in study.names]


class CropSamples:
    """Samples `{"crop": (1, E, E, E), "hidden<k>", "children<k>", "start<k>", "case"}`, see `MimObjective`.

    Args:
        images: What crops are cut from; where an image is smaller than a crop its background goes on around it.
        levels: Of the views.
        seed: Of all draws.
    """

    def __init__(self, images: Sequence[Image], levels: Sequence[Level], seed: int) -> None:
        self.images, self.levels, self.seed = list(images), tuple(levels), seed

    def __getitem__(self, index: int) -> Sample:
        """Return sample number `index`."""
        image, rng = draw_study(self.images, self.seed, index)
        return sample_of(image, self.levels, rng)

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.images, self.seed, index)[0].study.id


def sample_of(image: Image, levels: Sequence[Level], rng: np.random.Generator) -> Sample:
    """Return a crop of a prepared image on disk, and what is hidden in it."""
    study, name = image
    crop = _drawn(study.volume(name).shape, levels, rng)
    return {**_sample(read_crop(study, name, crop), levels, rng), "case": study.id}


def crop_sample(volume: Volume, around: float, levels: Sequence[Level], rng: np.random.Generator) -> Sample:
    """Return a crop of a prepared image in memory, and what is hidden in it.

    Args:
        volume: `(X, Y, Z)`.
        around: What lies around it.
        levels: Of the views.
        rng: Source of chance.
    """
    crop = _drawn(volume.shape, levels, rng)
    return _sample(np.nan_to_num(crop.read(volume, around), nan=around), levels, rng)


def _drawn(shape: Sequence[int], levels: Sequence[Level], rng: np.random.Generator) -> Crop:
    return uniform_crop(rng, shape[:AXES], (levels[0].extent,) * AXES)


def _sample(voxels: Volume, levels: Sequence[Level], rng: np.random.Generator) -> Sample:
    crop = torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32))[None]
    return {"crop": crop, **masks_as_tensors(draw_masks(levels, rng))}
