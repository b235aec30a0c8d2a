"""Training samples: patches of prepared studies and their masks, augmented; each a function of seed and number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import Crop, Voxels, label_crop, label_voxels
from scanweave.augment.settings import AugmentationSettings
from scanweave.framework.network_task import draw_study, some_scans
from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.framework.segmentation.settings import SamplingSettings
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.studies.preparing.prepared_cache import CachedStudy

VOXELS = 3
"""Stream of a seed for the voxels that centres are drawn from."""


class PatchSamples:
    """Samples `{"image": (C, …), "present": (C,), "mask", "case"}`; absent scans are 0 and not present.

    The mask holds classes `(…)`, or a plane a structure `(K, …)` where structures overlap.

    Args:
        studies: Prepared training studies, each with at least one scan; one that comes twice is drawn twice as often.
            A mask of the target that a study lacks shows nothing there.
        scans: Names in the order of the channels.
        target: The structures.
        plan: Size of a patch.
        sampling: What is drawn.
        augmentation: How patches are varied.
        seed: Of all draws.
    """

    def __init__(
        self,
        studies: Sequence[CachedStudy],
        scans: Sequence[str],
        target: SegmentationTarget,
        plan: NetworkPlan,
        sampling: SamplingSettings,
        augmentation: AugmentationSettings,
        seed: int,
    ) -> None:
        self.studies, self.scans, self.target, self.seed = list(studies), tuple(scans), target, seed
        self.plan, self.sampling = plan, sampling
        self.augmentation = _chosen(augmentation, sampling, plan)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        study, rng = draw_study(self.studies, self.seed, index)
        crop = label_crop(rng, study.shape, self.plan.patch, self._voxels[study.id], self.sampling.foreground)
        present = some_scans([name in study.names for name in self.scans], rng, self.sampling.drop_scans)
        scans = [study.volume(name) if name in study.names else None for name in self.scans]
        order = shown_order(self.plan)
        masks = [study.mask(name) if name in study.masks else None for name in self.target.masks]
        channels, labels = (Stacked(arrays, study.shape, order) for arrays in (scans, masks))
        crop = Crop(tuple(crop.start[axis] for axis in order), tuple(crop.size[axis] for axis in order))
        if self.plan.dimensions == 2:
            crop, channels, labels = (
                Crop(crop.start[1:], crop.size[1:]),
                *(stack.plane(crop.start[0]) for stack in (channels, labels)),
            )
        made = augmented(channels, labels, crop, self.seed, index, self.augmentation, present)
        assert made.mask is not None  # noqa: S101 - a mask was given
        back = range(2) if self.plan.dimensions == 2 else np.argsort(order).tolist()
        mask = self.target.encoded([*made.mask.numpy()])
        before = mask.ndim - len(made.image.shape[1:])
        mask = mask.transpose(*range(before), *(axis + before for axis in back))
        return {
            "image": made.image.nan_to_num(0.0).permute(0, *(axis + 1 for axis in back)).contiguous(),
            "present": torch.tensor(present),
            "mask": torch.from_numpy(np.ascontiguousarray(mask)),
            "case": study.id,
        }

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.studies, self.seed, index)[0].id

    @cached_property
    def _voxels(self) -> dict[str, dict[int, Voxels]]:
        """Voxels of each structure of each study that centres are drawn from."""
        found = {}
        for number, study in enumerate({study.id: study for study in self.studies}.values()):
            rng = np.random.default_rng([self.seed, VOXELS, number])
            labels = [_labels(study, name) for name in self.target.masks]
            if self.target.exclusive:
                found[study.id] = label_voxels(self.target.classes(labels), rng)
            else:  # a voxel of several structures counts for each
                planes = [label_voxels(plane, rng) for plane in self.target.planes(labels)]
                found[study.id] = {place: voxels[1] for place, voxels in enumerate(planes) if 1 in voxels}
        return found


def _labels(study: CachedStudy, name: str) -> NDArray[Any]:
    """Return a mask of a study; nothing where it lacks it."""
    return np.asarray(study.mask(name)[:]) if name in study.masks else np.zeros(study.shape, np.int16)


class Stacked:
    """Arrays on disk as the channels of one, read box by box; an absent one is all 0.

    Args:
        arrays: Each `(X, Y, Z)`, or None.
        shape: Theirs.
        order: In which order their axes are shown.
        fixed: Index along the first of these, which is then not shown.
    """

    def __init__(
        self, arrays: Sequence[Any], shape: Sequence[int], order: tuple[int, int, int], fixed: int | None = None
    ) -> None:
        self.arrays, self.order, self.fixed, self.whole = list(arrays), order, fixed, tuple(shape)
        shown = order if fixed is None else order[1:]
        self.shape = (len(self.arrays), *(shape[axis] for axis in shown))
        self.ndim = len(self.shape)

    def plane(self, number: int) -> Stacked:
        """Return one plane across the first axis that is shown."""
        return Stacked(self.arrays, self.whole, self.order, number)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Return a box of all channels, its axes in the order that is shown."""
        wanted = key[1:] if self.fixed is None else (slice(self.fixed, self.fixed + 1), *key[1:])
        box = tuple(wanted[self.order.index(axis)] for axis in range(3))
        there = [array for array in self.arrays if array is not None]
        read = [None if array is None else np.asarray(array[box]).transpose(self.order) for array in self.arrays]
        if self.fixed is not None:
            read = [None if values is None else values[0] for values in read]
        like = next(values for values in read if values is not None) if there else np.zeros(0)
        return np.stack([np.zeros_like(like) if values is None else values for values in read])


def shown_order(plan: NetworkPlan) -> tuple[int, int, int]:
    """Return the axes as augmentation takes them: the one across slices that are thick, or read alone, comes first."""
    thick = [axis for axis in range(3) if plan.dimensions == 3 and plan.kernels[0][axis] == 1]
    first = 2 if plan.dimensions == 2 else thick[0] if thick else 0
    rest = [axis for axis in range(3) if axis != first]
    return first, rest[0], rest[1]


def _chosen(settings: AugmentationSettings, sampling: SamplingSettings, plan: NetworkPlan) -> AugmentationSettings:
    off: dict[str, Any] = {}
    if not isinstance(settings.flip_shares, tuple):  # one share an axis is the user's own word
        shown = shown_order(plan)[-plan.dimensions :]
        off["flip_shares"] = tuple(settings.flip_shares if axis in plan.mirrored else 0.0 for axis in shown)
    if not sampling.rotate:
        shares = [name for name in type(settings).model_fields if name.endswith("_share") and name != "flip_shares"]
        off |= dict.fromkeys(shares, 0.0)
    if plan.dimensions == 3 and any(1 in kernel for kernel in plan.kernels):
        off["in_plane"] = True  # nnU-Net: thick slices are not turned into each other
    return settings.model_copy(update=off)
