"""Structures that a run outlines, by name, of one label map or several masks; apart or overlapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scanweave.engine.saved_plan import SavedPlan
from scanweave.errors import ScanweaveError
from scanweave.studies.mask_targets import Structure
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.wording import studies as counted_studies

FILE = "target.json"
LABELS = 2**16
"""Numbers that a prepared mask can hold: it has 16 bits a voxel."""
Planes = NDArray[np.bool_]


class SegmentationTarget(SavedPlan):
    """The structures of a run; saved as `target.json`.

    Attributes:
        structures: In the order of the network's outputs.
        exclusive: Whether no voxel belongs to two of them: one softmax over them and the background. Else they overlap,
            and each has a sigmoid of its own, as the regions of nnU-Net (Isensee et al., Nature Methods 18, 2021).
        channels: Channels of each mask that is one-hot.
        reasons: Why, a line each.
    """

    structures: tuple[Structure, ...]
    exclusive: bool = True
    channels: dict[str, int] = Field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the structures."""
        return tuple(structure.name for structure in self.structures)

    @cached_property
    def masks(self) -> tuple[str, ...]:
        """Masks that show them."""
        return tuple(dict.fromkeys(structure.mask for structure in self.structures))

    @property
    def outputs(self) -> int:
        """Outputs of the network: the structures, and the background where they exclude each other."""
        return len(self.structures) + self.exclusive

    @property
    def numbers_of_masks(self) -> dict[str, dict[str, list[int]]]:
        """Return the meaning of the numbers of each mask."""
        made: dict[str, dict[str, list[int]]] = {mask: {} for mask in self.masks}
        for structure in self.structures:
            made[structure.mask][structure.name] = list(structure.numbers)
        return made

    def planes(self, labels: Sequence[NDArray[Any]]) -> Planes:
        """Return each structure `(K, …)` of the masks in their order, each `(…)`."""
        shown = dict(zip(self.masks, labels, strict=True))
        return np.stack([structure.shown(shown[structure.mask]) for structure in self.structures])

    def classes(self, labels: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """Return the number of the structure from 1, else 0, of the masks in their order, each `(…)`."""
        shown = dict(zip(self.masks, labels, strict=True))
        made = np.zeros(labels[0].shape, dtype=np.int64)
        for number, structure in enumerate(self.structures, 1):
            made[structure.shown(shown[structure.mask])] = number
        return made

    def encoded(self, labels: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return what the loss compares with: classes `(…)`, or planes `(K, …)` where structures overlap."""
        return self.classes(labels) if self.exclusive else self.planes(labels)

    def called(self, shares: NDArray[np.float32]) -> Planes:
        """Return where each structure is called `(K, …)` by probabilities `(outputs, …)`: the largest, or over 0.5."""
        if not self.exclusive:
            return np.asarray(shares > 0.5)
        best = shares.argmax(0)
        return np.stack([best == number for number in range(1, len(self.structures) + 1)])

    def of_mask(self, mask: str) -> list[int]:
        """Return the places of the structures that a mask shows."""
        return [place for place, structure in enumerate(self.structures) if structure.mask == mask]


def numbered_target(masks: Mapping[str, Sequence[int]]) -> SegmentationTarget:
    """Return the target of a run of earlier builds: the numbers of its one label map, called by their number."""
    return SegmentationTarget(
        structures=tuple(Structure(str(value), mask, (value,)) for mask, values in masks.items() for value in values)
    )


class _Seen(NamedTuple):
    """Occurrence of structures in a study: voxels of each `(K,)`, and of each pair `(K, K)`."""

    voxels: NDArray[np.int64]
    shared: NDArray[np.int64]


def learn_target(
    structures: Sequence[Structure], training: Sequence[CachedStudy], channels: Mapping[str, int]
) -> SegmentationTarget:
    """Return the target of a run: structures that training studies show, and whether they exclude each other.

    Args:
        structures: Those of the cohort's masks.
        training: Prepared training studies, each with all these masks.
        channels: Channels of each mask that is one-hot.

    Raises:
        ScanweaveError: No training study shows any of them.
    """
    whole = SegmentationTarget(structures=tuple(structures))
    found = [_seen(whole, [study.mask(name)[:] for name in whole.masks]) for study in training]
    voxels = np.sum([one.voxels for one in found], axis=0)
    if not voxels.any():
        named = ", ".join(whole.masks)
        raise ScanweaveError(f"mask {named}", "is empty in all training studies", "Name another mask")
    absent = [name for name, count in zip(whole.names, voxels, strict=True) if not count]
    kept = np.flatnonzero(voxels)
    reasons = [f"structures: {', '.join(absent)} left out, in no training study"] if absent else []
    shared = np.array([one.shared for one in found])[:, kept][:, :, kept]
    names = [whole.names[place] for place in kept]
    exclusive, why = _relation(names, shared)
    return SegmentationTarget(
        structures=tuple(whole.structures[place] for place in kept),
        exclusive=exclusive,
        channels={mask: channels[mask] for mask in whole.masks if mask in channels},
        reasons=(*reasons, why),
    )


def _relation(names: Sequence[str], shared: NDArray[np.int64]) -> tuple[bool, str]:
    """Tell whether structures exclude each other, and why; `shared` are voxels of pairs in each study `(N, K, K)`."""
    listed = ", ".join(names)
    pairs = {(a, b): shared[:, a, b] for a, b in combinations(range(len(names)), 2)}
    worst = max(pairs, key=lambda pair: int(pairs[pair].sum()), default=None)
    if worst is None:
        return True, f"target: {listed}, against the background by softmax"
    if not pairs[worst].any():
        words = f"exclude each other in all {counted_studies(len(shared))} to train on"
        return True, f"target: {listed} {words}, so one softmax over them and the background"
    a, b = worst
    where = f"{int((pairs[worst] > 0).sum())} of {len(shared)} training studies"
    words = f"{names[a]} and {names[b]} share {int(pairs[worst].sum()):,} voxels in {where}"
    return False, f"target: {listed}; {words}, so each has a sigmoid of its own (nnU-Net's regions), called above 0.5"


def _seen(target: SegmentationTarget, labels: Sequence[NDArray[Any]]) -> _Seen:
    """Count voxels from the few combinations of numbers that masks have, not from a plane a structure."""
    inside = np.any([one != 0 for one in labels], axis=0)
    values = [one[inside] for one in labels]
    code = values[0].astype(np.int64)
    for own in values[1:]:
        code = np.unique(code, return_inverse=True)[1] * LABELS + own.astype(np.int64)
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    shown = target.planes([own[first] for own in values]).astype(np.int64)
    both = (shown * counts) @ shown.T
    return _Seen(np.diag(both).copy(), both)


def open_target(run: Path, masks: Mapping[str, Sequence[int]]) -> SegmentationTarget:
    """Return the target of a finished run; one of an earlier build has but the numbers of its plan."""
    return SegmentationTarget.load(run / FILE) if (run / FILE).exists() else numbered_target(masks)
