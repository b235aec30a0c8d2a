"""Studies as they are read for training, and samples of them, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import central_crop
from scanweave.augment.settings import FILM, QUANTITATIVE, AugmentationSettings
from scanweave.framework.network_task import draw_study, some_scans
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mome.config import MomeConfig
from scanweave.systems.mome.inputs import StudyInput, study_input
from scanweave.systems.mome.planning import ImagePlan, MomePlan

MOST_BYTES_IN_MEMORY = 2**30
"""Of images in the network's size that a reader keeps, so that small ones are read once."""


@dataclass(frozen=True, eq=False)
class KnownStudy:
    """A study to learn from.

    Attributes:
        id: The case.
        scans: Its prepared scans; None where it has its table alone.
        values: Variables of its table `(V,)`, NaN where absent.
    """

    id: str
    scans: CachedStudy | None
    values: NDArray[np.float32]

    def read(self, plan: MomePlan, config: MomeConfig) -> StudyInput:
        """Read it as the network takes it."""
        volumes: Mapping[str, Any] = {}
        times: Mapping[str, Sequence[float] | None] = {}
        if self.scans is not None:
            volumes = {name: self.scans.volume(name)[:] for name in self.scans.names}
            times = {name: frames.times for name, frames in self.scans.series.items()}
        return study_input(volumes, self.values, plan, config.input, times)


class MomeSamples:
    """Samples `{"input": StudyInput, "answer": (1 or K,), "known", "case"}`.

    Args:
        studies: Training studies, each with at least one modality.
        answers: Class number `(N, 1)`, or findings `(N, K)` with NaN where absent.
        plan: The modalities.
        config: All settings.
    """

    def __init__(
        self, studies: Sequence[KnownStudy], answers: NDArray[np.float64], plan: MomePlan, config: MomeConfig
    ) -> None:
        self.studies, self.answers, self.plan, self.config = list(studies), answers, plan, config
        self.seed = config.training.seed
        self._kept: dict[int, StudyInput] = {}
        self._room = MOST_BYTES_IN_MEMORY

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        number, rng = draw_study(range(len(self.studies)), self.seed, index)
        whole = self._whole(number)
        there = [name in whole.there for name in self.plan.modalities]
        shown = some_scans(there, rng, self.config.sampling.drop)
        names = [name for name, kept in zip(self.plan.modalities, shown, strict=True) if kept]
        one = replace(whole.only(names), place=torch.from_numpy(rng.random(3).astype(np.float32)))
        if self.config.sampling.augment:
            one = replace(one, images={name: self._varied(x, name, index) for name, x in one.images.items()})
        answer = torch.tensor(self.answers[number], dtype=torch.float32)
        # NaN means that a number went wrong: what is not known travels as a mask of its own
        return {
            "input": one,
            "answer": answer.nan_to_num(0.0),
            "known": ~answer.isnan(),
            "case": self.studies[number].id,
        }

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.studies, self.seed, index)[0].id

    def _varied(self, image: Tensor, name: str, index: int) -> Tensor:
        settings = _augmentation(self.plan.image(name), mirror=self.config.sampling.mirror)
        crop = central_crop(image.shape[1:], image.shape[1:])
        return augmented(image, None, crop, self.seed, index, settings).image

    def _whole(self, number: int) -> StudyInput:
        if number in self._kept:
            return self._kept[number]
        found = self.studies[number].read(self.plan, self.config)
        size = sum(image.numel() * image.element_size() for image in found.images.values())
        if size <= self._room:
            self._kept[number] = found
            self._room -= size
        return found


def _augmentation(image: ImagePlan, *, mirror: bool) -> AugmentationSettings:
    """Say how images of a modality are varied; volumes of a study are flipped alike, films by themselves."""
    settings = FILM if image.thin is not None else QUANTITATIVE.model_copy(update={"in_plane": image.in_plane})
    return settings if mirror else settings.model_copy(update={"flip_shares": 0.0})
