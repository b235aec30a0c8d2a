"""Plan of a run from its training studies: its question, and how its network sees studies, 2D or 3D and how large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.studies.preparing.preparation import Frame
from scanweave.systems.classify.config import NetworkSettings

FILE = "question.json"
SMALL_EDGE_VOXELS = 64
"""Longest edge of an input that a resnet without early strides takes."""
LEAST_EDGE_VOXELS = {True: 16, False: 32}
"""Shortest edge of an input by whether the network begins without strides: its last feature then has one voxel."""
MUCH_COARSER = 2.0
"""Spacing over the finest from which volumes are not turned out of their slices."""


class ClassifyPlan(AnswerPlan):
    """The question and the input of a run; saved as `question.json`. See `AnswerPlan`.

    Attributes:
        scans: In the order of the network's channels.
        dimensions: 2 for films, 3 for volumes.
        thin: Axis of a prepared film that is one voxel long; None for volumes.
        size: Voxels of the input along (Z,) Y, X.
        small_images: Whether a resnet begins without strides.
        in_plane: Whether volumes are only turned in their slices.
        views: Whether scans are views, each through the same encoder, rather than channels of one image.
        encoder: That of a pre-training run, in place of the one that the settings name; None: the latter.
    """

    scans: tuple[str, ...]
    dimensions: Literal[2, 3]
    thin: int | None
    size: tuple[int, ...]
    small_images: bool
    in_plane: bool
    views: bool = False
    encoder: SavedEncoder | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it is told from."""
        return tuple(f"scan:{name}" for name in self.scans)


class InputPlan(NamedTuple):
    """The input of a network; see `ClassifyPlan`."""

    dimensions: Literal[2, 3]
    thin: int | None
    size: tuple[int, ...]
    small_images: bool
    in_plane: bool
    reasons: tuple[str, ...]


def plan_views(
    grids: Sequence[Sequence[Frame]], scans: Sequence[str], settings: NetworkSettings
) -> tuple[bool, tuple[str, ...]]:
    """Return whether scans are views rather than channels, and why; no reason where there is but one scan.

    Args:
        grids: The frames of each training study, one a grid.
        scans: Names of the scans.
        settings: What the user decided.
    """
    if len(scans) == 1:
        return False, ()
    apart = sum(len(frames) > 1 for frames in grids)
    films = any(not frame.native.is_placed for frames in grids for frame in frames)
    views = bool(apart or films) if settings.scans_as == "auto" else settings.scans_as == "views"
    because = "as asked"
    if settings.scans_as == "auto":
        because = f"{apart} of {len(grids)} training studies have scans on grids of their own" if apart else ""
        because = because or ("films are in no common space" if films else "they share a grid")
    how = "views, each through the same encoder, features averaged over those present" if views else "channels"
    return views, (f"scans: {', '.join(scans)} are {how}; {because}",)


def plan_input(shapes: Sequence[Sequence[int]], spacing: Sequence[float], settings: NetworkSettings) -> InputPlan:
    """Plan the input of the network.

    Args:
        shapes: Voxels `(X, Y, Z)` of the prepared training studies, of each grid where one has several.
        spacing: Of their voxels [mm].
        settings: What the user decided.

    Raises:
        ScanweaveError: Films and volumes are mixed, or a size has another number of axes than the studies.
    """
    every = np.array(shapes)
    median = np.median(every, axis=0).astype(int)
    films = (every == 1).sum(axis=1) == 1
    if films.any() and not films.all():
        reason = f"{films.sum()} of {len(films)} training studies are films, the others volumes"
        raise ScanweaveError("scans", reason, "Name those of one kind by --scans")
    dimensions: Literal[2, 3] = 2 if films.all() else 3
    thin = int(np.argmin(median)) if dimensions == 2 else None
    axes = [axis for axis in (2, 1, 0) if axis != thin]
    seen = "×".join(str(median[axis]) for axis in axes)
    words = "films, one voxel deep" if dimensions == 2 else "volumes"
    size, small, why = _size(median[axes], dimensions, settings)
    apart = np.array(spacing)[axes] * median[axes] / size
    in_plane = dimensions == 3 and bool(apart[0] > MUCH_COARSER * apart[1:].min())
    order = "Y×X" if dimensions == 2 else "Z×Y×X"
    reasons = (
        f"network: {dimensions}D, since the training studies are {words}",
        f"input: {'×'.join(map(str, size))} ({order}); the median study has {seen}; {why}",
        *(["stem: without early strides, since no edge exceeds 64 voxels"] if small else []),
        *(["augmentation: turned within slices only, since these lie far apart"] if in_plane else []),
    )
    return InputPlan(dimensions, thin, size, small, in_plane, reasons)


def _size(median: np.ndarray, dimensions: int, settings: NetworkSettings) -> tuple[tuple[int, ...], bool, str]:
    """Choose the size of the input and whether a resnet begins without strides, and say why."""
    is_resnet = settings.encoder.startswith("resnet")
    if settings.size is not None:
        if len(settings.size) != dimensions:
            reason = f"has {len(settings.size)} axes for studies of {dimensions}"
            raise ScanweaveError("network.size", reason, f"Give {dimensions} numbers")
        small = is_resnet and max(settings.size) <= SMALL_EDGE_VOXELS
        return tuple(settings.size), small if settings.small_images is None else settings.small_images, "as asked"
    most = settings.most_pixels if dimensions == 2 else settings.most_voxels
    factor = min(1.0, (most / float(np.prod(median))) ** (1 / dimensions))
    rounded = np.maximum(1, np.rint(median * factor)).astype(int)
    small = is_resnet and int(rounded.max()) <= SMALL_EDGE_VOXELS
    small = small if settings.small_images is None else settings.small_images
    least = LEAST_EDGE_VOXELS[small]
    size = tuple(max(least, int(edge)) for edge in rounded)
    why = "every study is resized to it" if factor == 1 else f"resized to at most {most:,} voxels of the same aspect"
    if max(size) > max(rounded) or any(edge == least > own for edge, own in zip(size, rounded, strict=True)):
        why += f", no edge below the {least} that the encoder needs"
    return size, small, why
