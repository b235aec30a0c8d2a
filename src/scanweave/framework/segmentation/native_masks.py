"""Probabilities of structures as masks on the native grid. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.studies.mask_targets import Structure
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, Volume, to_native


def native_masks(
    shares: NDArray[np.float32], target: SegmentationTarget, masks: Sequence[str], frame: Frame, plan: Plan
) -> dict[str, NDArray[np.int16]]:
    """Return masks as the target has them: label maps with its numbers, and one-hot masks `(X, Y, Z, C)`.

    Structures that exclude each other are called by the largest probability, others above 0.5. In a label map, which
    has one number a voxel, overlapping structures (nnU-Net's regions) are written by the number whose set of
    structures is the most probable, each structure taken by itself.

    Args:
        shares: Probability of each output `(K, X, Y, Z)` on the prepared grid.
        target: The structures.
        masks: Which masks are wanted.
        frame: How the prepared grid lies in the native one.
        plan: How the study was made ready.
    """
    count = len(target.structures)
    apart = native_labels(shares, range(1, count + 1), frame, plan) if target.exclusive else None
    made = {}
    for mask in masks:
        own = target.of_mask(mask)
        if mask in target.channels:
            planes = [_called(shares, place, apart, frame, plan) for place in own]
            made[mask] = _one_hot(planes, [target.structures[place] for place in own], target.channels[mask])
        elif apart is not None:
            numbers = np.zeros(count + 1, dtype=np.int16)
            numbers[[place + 1 for place in own]] = [target.structures[place].numbers[0] for place in own]
            made[mask] = numbers[apart]
        else:
            sets, values = _number_shares(shares[own], [target.structures[place] for place in own])
            made[mask] = native_labels(sets, values, frame, plan)
    return made


def _called(
    shares: NDArray[np.float32], place: int, apart: NDArray[np.int16] | None, frame: Frame, plan: Plan
) -> NDArray[np.bool_]:
    """Return the voxels of a structure on the native grid."""
    if apart is not None:
        return np.asarray(apart == place + 1)
    own = shares[place]
    return native_labels(np.stack([1 - own, own]), (1,), frame, plan) > 0


def _one_hot(planes: Sequence[NDArray[np.bool_]], structures: Sequence[Structure], count: int) -> NDArray[np.int16]:
    """Channels as the source has them; a first one that is of no structure is the background."""
    made = np.zeros((*planes[0].shape, count), dtype=np.int16)
    for plane, structure in zip(planes, structures, strict=True):
        made[..., structure.channel] = plane
    if all(structure.channel != 0 for structure in structures):
        made[..., 0] = ~np.any(planes, axis=0)
    return made


def _number_shares(
    shares: NDArray[np.float32], structures: Sequence[Structure]
) -> tuple[NDArray[np.float32], list[int]]:
    """Probability of each number of a label map, 0 first, from those of its structures `(K, …)`; and the numbers."""
    values = sorted({value for structure in structures for value in structure.numbers})
    made = np.ones((len(values) + 1, *shares.shape[1:]), dtype=np.float32)
    for number, value in enumerate((0, *values)):
        for share, structure in zip(shares, structures, strict=True):
            made[number] *= share if value in structure.numbers else 1 - share
    total = made.sum(axis=0)
    made[0][total == 0] = 1  # structures that are sure and contradict each other
    return made / np.maximum(total, np.finfo(np.float32).tiny), values


def native_labels(shares: NDArray[np.float32], values: Sequence[int], frame: Frame, plan: Plan) -> NDArray[np.int16]:
    """Return the label map of the most probable classes on the native grid.

    Probabilities, not labels, are resampled, so that a structure does not grow steps.

    Args:
        shares: Of each class `(K, X, Y, Z)` on the prepared grid.
        values: Value in the label map of the classes 1, 2, …
        frame: How the prepared grid lies in the native one.
        plan: How the study was made ready.
    """
    best = np.full(frame.native.shape, 0.0, np.float32)
    labels = np.zeros(frame.native.shape, np.int16)
    whole: Callable[[float], Volume] = lambda fill: np.full(frame.working.shape, fill, np.float32)  # noqa: E731
    for number, value in enumerate((0, *values)):
        full = whole(float(number == 0))  # what lies outside of the prepared box is background
        full[frame.box] = shares[number]
        share = to_native(full, frame, plan)
        better = share > best
        labels[better], best[better] = value, share[better]
    return labels
