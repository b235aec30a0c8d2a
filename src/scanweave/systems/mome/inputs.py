"""Studies as the network takes them, alone and as batches; and training samples, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.augment.resizing import resized
from scanweave.errors import ScanweaveError
from scanweave.systems.mome.config import InputSettings
from scanweave.systems.mome.planning import TABLE, ImagePlan, MomePlan

MIDDLE = 0.5
"""Place of a pasted image in the input where nothing else is said."""


@dataclass(frozen=True, eq=False)
class StudyInput:
    """A study as the network takes it.

    Attributes:
        images: Of each image modality that is there `(C, [Z,] Y, X)`, of a series as time `(T, [Z,] Y, X)`.
        times: Places in time of the frames of each series as time, the first at 0, their usual distance 1 `(T,)`.
        values: Variables of the table `(V,)`, NaN where absent.
        place: Where in the input pasted images lie `(3,)`, see `Stem`.
    """

    images: Mapping[str, Tensor]
    times: Mapping[str, Tensor]
    values: Tensor
    place: Tensor = field(default_factory=lambda: torch.full((3,), MIDDLE))

    @property
    def there(self) -> tuple[str, ...]:
        """Names of its modalities."""
        return (*self.images, *((TABLE,) if bool((~self.values.isnan()).any()) else ()))

    def only(self, names: Collection[str]) -> StudyInput:
        """Return the same without the other modalities."""
        values = self.values if TABLE in names else torch.full_like(self.values, float("nan"))
        images, times = ({n: x for n, x in one.items() if n in names} for one in (self.images, self.times))
        return StudyInput(images, times, values, self.place)


def study_input(
    volumes: Mapping[str, Any],
    values: NDArray[np.float32],
    plan: MomePlan,
    settings: InputSettings,
    times: Mapping[str, Sequence[float] | None],
) -> StudyInput:
    """Return a prepared study as the network takes it.

    Args:
        volumes: Prepared scans that are there `(X, Y, Z)`, series `(X, Y, Z, T)`.
        values: Of the table, see `variable_values`.
        plan: The modalities.
        settings: How images fit into the input.
        times: Of the frames of each series [s], None where they are not known.

    Raises:
        ScanweaveError: A volume where a film is wanted.
    """
    there = [image for image in plan.images if image.name in volumes]
    images = {image.name: _image(volumes[image.name], image, settings) for image in there}
    as_time = {
        image.name: _places(len(images[image.name]), times.get(image.name))
        for image in there
        if image.frames is not None and plan.frames_as == "time"
    }
    if plan.frames_as == "channels":
        images = {name: _in_frames(image, plan.image(name).frames or 1) for name, image in images.items()}
    return StudyInput(images, as_time, torch.from_numpy(np.asarray(values, np.float32)))


def batch_of(studies: Sequence[StudyInput], plan: MomePlan, settings: InputSettings) -> dict[str, Tensor]:
    """Return studies as one batch; see `MomeNetwork`. The order of a study's modalities is that of the plan."""
    values = torch.stack([study.values for study in studies])
    batch = {"values": values.nan_to_num(), "values_there": ~values.isnan()}
    if settings.fit == "paste":
        batch["place"] = torch.stack([study.place for study in studies])
    for image in plan.images:
        rows = [row for row, study in enumerate(studies) if image.name in study.images]
        if not rows:
            continue
        given = [studies[row].images[image.name] for row in rows]
        batch[f"rows/{image.name}"] = torch.tensor(rows)
        batch[f"image/{image.name}"] = _stacked(given)
        if settings.fit == "paste":
            batch[f"extent/{image.name}"] = torch.tensor([one.shape[1:] for one in given])
        if image.name in studies[rows[0]].times:
            times = [studies[row].times[image.name] for row in rows]
            batch[f"frames/{image.name}"] = _stacked(times)
            batch[f"frames_there/{image.name}"] = _stacked([torch.ones_like(one, dtype=torch.bool) for one in times])
    return batch


def _image(volume: Any, image: ImagePlan, settings: InputSettings) -> Tensor:
    """A prepared volume as channels in the order of the network's axes, of the input's size or at most as large."""
    found = np.asarray(volume)
    if image.thin is not None:
        if found.shape[image.thin] != 1:
            shape = "×".join(map(str, found.shape[:3]))
            reason = f"a volume of {shape} voxels where films were learnt"
            raise ScanweaveError(f"scan {image.name}", reason, "Give films")
        found = np.take(found, 0, axis=image.thin)
    axes = found.ndim - (image.frames is not None)
    frames = found if image.frames is not None else found[..., None]
    turned = np.ascontiguousarray(np.nan_to_num(frames).transpose(axes, *reversed(range(axes))))
    made = torch.from_numpy(turned.astype(np.float32, copy=False))
    if settings.fit == "resize":
        return resized(made, image.size)
    factor = min(1.0, *(edge / own for edge, own in zip(image.size, made.shape[1:], strict=True)))
    size = [max(1, min(edge, round(own * factor))) for edge, own in zip(image.size, made.shape[1:], strict=True)]
    return resized(made, size)


def _in_frames(image: Tensor, frames: int) -> Tensor:
    """A series `(T, …)` at another number of frames, by straight lines between them."""
    if len(image) == frames:
        return image
    lines = image.flatten(1).T[None]  # (1, voxels, T)
    made = F.interpolate(lines, size=frames, mode="linear", align_corners=True)
    return made[0].T.reshape(frames, *image.shape[1:])


def _places(frames: int, times: Sequence[float] | None) -> Tensor:
    """Places of frames in time: by their times, of which the median distance is 1, else by their order."""
    if times is None or len(times) != frames or frames < 2:
        return torch.arange(frames, dtype=torch.float32)
    at = np.asarray(times, dtype=np.float64)
    distance = float(np.median(np.diff(at)))
    return torch.tensor((at - at[0]) / (distance if distance > 0 else 1.0), dtype=torch.float32)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of different sizes as one, with 0 behind the smaller ones."""
    shapes = {tuple(one.shape) for one in tensors}
    if len(shapes) == 1:
        return torch.stack(list(tensors))
    largest = [max(edges) for edges in zip(*shapes, strict=True)]
    made = tensors[0].new_zeros((len(tensors), *largest))
    for row, one in enumerate(tensors):
        made[row][tuple(slice(edge) for edge in one.shape)] = one
    return made
