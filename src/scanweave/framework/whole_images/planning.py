"""The input of a network that sees whole studies: films or volumes, how large, with which encoder. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np

from scanweave.engine.saved_encoder import SavedEncoder, chosen_encoder
from scanweave.engine.settings import StartSettings
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.whole_images.settings import InputSettings

SMALL_EDGE_VOXELS = 64
"""Longest edge of an input that a resnet without early strides takes."""
LEAST_EDGE_VOXELS = {True: 16, False: 32}
"""Shortest edge of an input by whether the network begins without strides: its last feature then has one voxel."""
MUCH_COARSER = 2.0
"""Spacing over the finest from which volumes are not turned out of their slices."""


class WholeImagePlan(AnswerPlan):
    """The question and the input of a run; see `AnswerPlan`.

    Attributes:
        scans: Names of those that it reads, in order.
        dimensions: 2 for films, 3 for volumes.
        thin: Axis of a prepared film that is one voxel long; None for volumes.
        size: Voxels of the input along (Z,) Y, X.
        small_images: Whether a resnet begins without strides.
        in_plane: Whether volumes are only turned in their slices.
        encoder: That of a pre-training run, in place of the one that the settings name; None: the latter.
    """

    scans: tuple[str, ...]
    dimensions: Literal[2, 3]
    thin: int | None
    size: tuple[int, ...]
    small_images: bool
    in_plane: bool
    encoder: SavedEncoder | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it is told from."""
        return tuple(f"scan:{name}" for name in self.scans)


class InputPlan(NamedTuple):
    """The input of a network; see `WholeImagePlan`."""

    dimensions: Literal[2, 3]
    thin: int | None
    size: tuple[int, ...]
    small_images: bool
    in_plane: bool
    reasons: tuple[str, ...]


def plan_input(shapes: Sequence[Sequence[int]], spacing: Sequence[float], settings: InputSettings) -> InputPlan:
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


def _size(median: np.ndarray, dimensions: int, settings: InputSettings) -> tuple[tuple[int, ...], bool, str]:
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


def planned_encoder(
    start: StartSettings, asked: str, usual: Collection[str], dimensions: int
) -> tuple[SavedEncoder | None, tuple[str, ...]]:
    """Return the encoder of the pre-training run that the fit begins from or names, and a line on it; None: no run.

    Args:
        start: Where the weights come from.
        asked: The encoder that the settings name.
        usual: Those that the presets name.
        dimensions: Of the studies.

    Raises:
        ScanweaveError: It is for images of other dimensions.
    """
    found = chosen_encoder(start, asked, usual)
    if found is None:
        return None, ()
    if found.dimensions != dimensions:
        reason = f"{found.name} is for images of {found.dimensions} dimensions, and these are of {dimensions}"
        raise ScanweaveError("network.encoder", reason, "Begin from another run")
    return found, (f"encoder: {found.name}, as in the pre-training run",)


def refuse_idle_size(settings: InputSettings, usual: InputSettings, dimensions: int) -> None:
    """Refuse the bound of a film's input where studies are volumes, and the other way round.

    Args:
        settings: What the user decided.
        usual: Those of the preset.
        dimensions: Of the studies.
    """
    name, words = ("most_voxels", "films") if dimensions == 2 else ("most_pixels", "volumes")
    if getattr(settings, name) != getattr(usual, name):
        reason = f"has no effect: the training studies are {words}"
        raise ScanweaveError(f"network.{name}", reason, "Leave it out")
