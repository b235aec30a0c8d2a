"""Training samples of whole studies, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import Crop, uniform_crop
from scanweave.augment.settings import FILM, AugmentationSettings
from scanweave.framework.network_task import draw_study, some_scans
from scanweave.framework.whole_images.reading import whole_image
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.classify.config import SamplingSettings
from scanweave.systems.classify.planning import ClassifyPlan

MOST_BYTES_IN_MEMORY = 2**29
"""Of resized studies that a reader keeps, so that small films are read once."""


class StudySamples:
    """Samples `{"image": (C, …), "present": (C,), "answer": (1 or K,), "case"}`; absent scans are 0 and not present.

    Args:
        studies: Prepared training studies, each with at least one scan.
        answers: Class number `(N, 1)`, or findings `(N, K)` with NaN where absent.
        plan: Names, axes and size.
        sampling: What a sample shows.
        seed: Of all draws.
    """

    def __init__(
        self,
        studies: Sequence[CachedStudy],
        answers: NDArray[np.float64],
        plan: ClassifyPlan,
        sampling: SamplingSettings,
        seed: int,
    ) -> None:
        self.studies, self.answers, self.plan, self.sampling, self.seed = list(studies), answers, plan, sampling, seed
        self.augmentation = _chosen(sampling, plan)
        self._kept: dict[int, tuple[Tensor, list[bool]]] = {}
        self._room = MOST_BYTES_IN_MEMORY

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        number, rng = draw_study(range(len(self.studies)), self.seed, index)
        image, there = self._whole(number)
        crop = uniform_crop(rng, image.shape[1:], self.plan.size)
        present = some_scans(there, rng, self.sampling.drop_scans, order_first=True)
        answer = torch.tensor(self.answers[number], dtype=torch.float32)
        # NaN means that a number went wrong: what is not known travels as a mask of its own
        sample = {"present": torch.tensor(present), "answer": answer.nan_to_num(0.0), "known": ~answer.isnan()}
        return {"image": self._varied(image, crop, index, present), **sample, "case": self.studies[number].id}

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.studies, self.seed, index)[0].id

    def _varied(self, image: Tensor, crop: Crop, index: int, present: list[bool]) -> Tensor:
        if self.augmentation is None:
            made = torch.as_tensor(crop.read(image))
            return torch.where(torch.tensor(present).view(-1, *[1] * (made.ndim - 1)), made, torch.zeros(()))
        return augmented(image, None, crop, self.seed, index, self.augmentation, present).image

    def _whole(self, number: int) -> tuple[Tensor, list[bool]]:
        if number in self._kept:
            return self._kept[number]
        study = self.studies[number]
        found = whole_image({name: study.volume(name)[:] for name in study.names}, self.plan, self.sampling.crop)
        size = found[0].numel() * found[0].element_size()
        if size <= self._room:
            self._kept[number] = found
            self._room -= size
        return found


def _chosen(sampling: SamplingSettings, plan: ClassifyPlan) -> AugmentationSettings | None:
    if not sampling.augment:
        return None
    settings = FILM if plan.dimensions == 2 else AugmentationSettings(in_plane=plan.in_plane)
    return settings if sampling.mirror else settings.model_copy(update={"flip_shares": 0.0})
