"""Plan of the network from the training studies: patch, strides, kernels (rules of nnU-Net).

Isensee et al., Nature Methods 18, 2021, supplementary note 2: the patch has the aspect of the median study and as many
voxels as memory allows; an axis is halved while it has at least twice the smallest bottleneck and is not much coarser
than the finest one; an axis much coarser than the finest has kernels of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt

from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.engine.saved_plan import SavedPlan
from scanweave.errors import ScanweaveError
from scanweave.framework.segmentation.settings import Mirror, NetworkSettings
from scanweave.nets.encoders import make_encoder
from scanweave.studies.formats.header_limits import MAX_VOXELS_PER_AXIS

FILE = "network.json"
LEAST_BOTTLENECK_VOXELS = 4
"""Smallest size of an axis at the bottom of the network."""
MUCH_COARSER = 2.0
"""Spacing over the finest from which an axis is not halved, and has kernels of 1."""
FEW_SLICES = 12
"""Slices of the median study below which slices are segmented one by one."""
LEAST_BATCH, MOST_BATCH = 2, 16
"""Patches of a batch."""


Stride = Annotated[int, Field(ge=1, le=2)]
Kernel = Annotated[int, Field(ge=1, le=3)]
Edge = Annotated[int, Field(ge=1, le=MAX_VOXELS_PER_AXIS)]
Axis = Annotated[int, Field(ge=0, le=2)]


class NetworkPlan(SavedPlan):
    """The network of a run; saved as `network.json`.

    Attributes:
        dimensions: 2 for slices, 3 for volumes.
        patch: Voxels of a patch; of slices `(X, Y, 1)`.
        strides: Of each stage along each axis, one or two.
        kernels: Of each stage along each axis, 1 or 3.
        batch: Patches of a step.
        mirrored: Axes along which patches and studies are mirrored.
        encoder: In place of the one of these strides and kernels; None: that one.
        reasons: Why, a line each.
    """

    dimensions: Literal[2, 3]
    patch: tuple[Edge, Edge, Edge]
    strides: tuple[tuple[Stride, ...], ...]
    kernels: tuple[tuple[Kernel, ...], ...]
    batch: PositiveInt
    mirrored: tuple[Axis, ...] = (0, 1, 2)
    encoder: SavedEncoder | None = None
    reasons: tuple[str, ...]


def are_slices(shapes: Sequence[Sequence[int]]) -> bool:
    """Tell whether the median study `(X, Y, Z)` has so few slices that they are segmented one by one."""
    return bool(np.median(np.array(shapes), axis=0)[2] < FEW_SLICES)


def plan_network(
    shapes: Sequence[Sequence[int]],
    spacing: Sequence[float],
    settings: NetworkSettings,
    mirror: Mirror = "all",
    orientation: str = "RAS",
    encoder: SavedEncoder | None = None,
) -> NetworkPlan:
    """Plan the network.

    Args:
        shapes: Voxels `(X, Y, Z)` of the prepared training studies.
        spacing: Of their voxels [mm].
        settings: What the user decided.
        mirror: Along which axes.
        orientation: Of their axes.
        encoder: In place of one that is planned.

    Raises:
        ScanweaveError: The encoder is for images of other dimensions.
    """
    median = np.median(np.array(shapes), axis=0).astype(int)
    dimensions = settings.dimensions
    if dimensions == "auto":
        dimensions = 2 if are_slices(shapes) else 3
    axes = slice(0, dimensions)
    sizes = list(settings.patch or _patch(median[axes], np.array(spacing)[axes], settings.patch_voxels))
    strides, kernels = _topology(sizes, spacing[axes], settings.stages)
    multiple, staged = np.prod(np.array(strides), axis=0), _stages_in_words(strides, kernels)
    if encoder is not None:
        multiple, staged = _multiple(encoder, dimensions), f"encoder: {encoder.name}, in place of a planned one"
    whole = np.ceil if settings.padded or settings.patch else np.floor
    patch = tuple(int(size) for size in np.maximum(whole(np.array(sizes) / multiple), 1) * multiple)
    mirrored = _mirrored(mirror, orientation[axes])
    room = settings.batch_voxels // int(np.prod(patch))
    batch = min(max(room, LEAST_BATCH), MOST_BATCH, max(LEAST_BATCH, len(shapes)))
    words = "slices" if dimensions == 2 else "volumes"
    reasons = (
        f"network: {words}, since the median study has {'×'.join(map(str, median))} voxels",
        f"patch: {'×'.join(map(str, patch))} voxels, {'as asked' if settings.patch else 'the aspect of that study'}, "
        f"at most {settings.patch_voxels:,}",
        staged,
        f"batch: {batch} patches",
        f"mirrored: {_sides(mirror, mirrored)}",
    )
    return NetworkPlan(
        dimensions=dimensions,
        patch=(*patch, *[1] * (3 - dimensions)),
        strides=tuple(strides),
        kernels=tuple(kernels),
        batch=batch,
        mirrored=mirrored,
        encoder=encoder,
        reasons=reasons,
    )


def _multiple(encoder: SavedEncoder, dimensions: int) -> np.ndarray:
    """Return the voxels of a patch for one of the encoder's coarsest feature, along each axis.

    Raises:
        ScanweaveError: It is for images of other dimensions.
    """
    if encoder.dimensions != dimensions:
        reason = f"{encoder.name} is for images of {encoder.dimensions} dimensions, and these are of {dimensions}"
        raise ScanweaveError("network.encoder", reason, "Give network.dimensions, or another encoder")
    with torch.device("meta"):
        made = make_encoder(encoder.name, 1, dimensions, **encoder.options)
    return np.array(made.strides[-1])


def _patch(median: np.ndarray, spacing: np.ndarray, most: int) -> list[int]:
    """Plan the patch: the median study, or a box of its own isotropic extent of at most so many voxels."""
    size = median.astype(float)
    while np.prod(size) > most:
        # The axis of the largest extent in millimetres gives way, so that patches become cubes before they shrink.
        extent = size * spacing
        size[int(extent.argmax())] *= 0.95
    return [max(LEAST_BOTTLENECK_VOXELS, round(n)) for n in size]


def _topology(
    sizes: Sequence[int], spacing: Sequence[float], most: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Plan strides and kernels of each stage, from fine to coarse."""
    size, space = np.array(sizes, dtype=float), np.array(spacing, dtype=float)
    strides, kernels = [(1,) * len(size)], [_kernel(space)]
    while len(strides) < most:
        halved = (size >= 2 * LEAST_BOTTLENECK_VOXELS) & (space < MUCH_COARSER * space.min())
        if not halved.any():
            break
        size, space = np.where(halved, np.ceil(size / 2), size), np.where(halved, space * 2, space)
        strides.append(tuple(int(n) for n in np.where(halved, 2, 1)))
        kernels.append(_kernel(space))
    return strides, kernels


def _mirrored(mirror: Mirror, orientation: str) -> tuple[int, ...]:
    """Return the axes that `mirror` names; a body is symmetric from left to right at most."""
    if mirror == "left-right":
        return tuple(axis for axis, direction in enumerate(orientation) if direction in "LR")
    return tuple(range(len(orientation))) if mirror == "all" else ()


def _sides(mirror: Mirror, axes: tuple[int, ...]) -> str:
    if not axes:
        return "nothing"
    return (
        "left and right, since no body has front and back, or head and foot, exchanged"
        if mirror == "left-right"
        else "all axes"
    )


def _kernel(space: np.ndarray) -> tuple[int, ...]:
    return tuple(1 if value >= MUCH_COARSER * space.min() else 3 for value in space)


def _stages_in_words(strides: Sequence[tuple[int, ...]], kernels: Sequence[tuple[int, ...]]) -> str:
    return f"stages: {len(strides)}, strides {_listed(strides)}, kernels {_listed(kernels)}"


def _listed(stages: Sequence[tuple[int, ...]]) -> str:
    return " ".join("×".join(map(str, stage)) for stage in stages)
