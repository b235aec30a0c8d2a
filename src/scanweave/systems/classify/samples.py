"""Studies as a network sees them, whole; and training samples, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import Crop, central_crop, uniform_crop
from scanweave.augment.resizing import resized
from scanweave.augment.settings import FILM, AugmentationSettings
from scanweave.errors import ScanweaveError
from scanweave.framework.network_task import draw_study, some_scans
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.classify.config import SamplingSettings
from scanweave.systems.classify.planning import ClassifyPlan

MOST_BYTES_IN_MEMORY = 2**29
"""Of resized studies that a reader keeps, so that small films are read once."""


def whole_image(volumes: Mapping[str, Any], plan: ClassifyPlan, crop: float = 1.0) -> tuple[Tensor, list[bool]]:
    """Return the scans of a study as channels, resized so that `crop` of each axis is the network's input.

    Args:
        volumes: Prepared scans that are present `(X, Y, Z)`.
        plan: Names, axes and size.
        crop: Share of each axis that the network sees.

    Returns:
        `(C, (Z,) Y, X)`, 0 where a scan is absent or covers nothing; and which are present.

    Raises:
        ScanweaveError: A volume where films are wanted, or the reverse.
    """
    size = [round(edge / crop) for edge in plan.size]
    present = [name in volumes for name in plan.scans]
    image = torch.zeros(len(present), *size)
    for number, name in enumerate(plan.scans):
        if present[number]:
            image[number] = resized(_oriented(np.asarray(volumes[name]), plan)[None], size)[0]
    return image, present


def network_input(volumes: Mapping[str, Any], plan: ClassifyPlan, crop: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return a batch of one study, its middle where the network sees less than all: `(1, C, …)` and booleans `(1, C)`.

    Args:
        volumes: As in `whole_image`.
        plan: As there.
        crop: As there.
    """
    image, present = whole_image(volumes, plan, crop)
    middle = central_crop(image.shape[1:], plan.size).read(image)
    return torch.as_tensor(middle)[None], torch.tensor([present])


def plane_order(plan: ClassifyPlan) -> list[int]:
    """Return the axes of a prepared volume in the order of the network's: (Z,) Y, X, without that of one voxel."""
    return [axis for axis in (2, 1, 0) if axis != plan.thin]


def _oriented(volume: NDArray[np.float32], plan: ClassifyPlan) -> Tensor:
    """Return a prepared volume in the order of the network's axes."""
    if plan.thin is not None:
        if volume.shape[plan.thin] != 1:
            shape = "×".join(map(str, volume.shape))
            raise ScanweaveError("scans", f"a volume of {shape} voxels for a run on films", "Give films")
        volume = np.take(volume, [0], axis=plan.thin).squeeze(plan.thin)
    return torch.from_numpy(np.ascontiguousarray(np.nan_to_num(volume).T))


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
