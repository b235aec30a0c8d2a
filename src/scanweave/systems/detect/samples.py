"""Films as a network sees them, and training samples, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.augment.affine import Matrix, moved_points
from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import Crop
from scanweave.augment.resizing import resized
from scanweave.errors import ScanweaveError
from scanweave.framework.network_task import draw_study
from scanweave.studies.boxes import Boxes
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.detect.config import BOXED_FILM, SamplingSettings
from scanweave.systems.detect.planning import DetectPlan
from scanweave.systems.detect.truth import FilmTruth

MOST_BYTES_IN_MEMORY = 2**29
"""Of resized films that a reader keeps, so that small films are read once."""
LEAST_SHOWN = 0.25
"""Share of a box within a sample from which it is still a finding of the sample."""


def film_image(volume: NDArray[np.float32], plan: DetectPlan) -> Tensor:
    """Return a prepared film `(X, Y, 1)` or `(X, Y, 1, C)` as the network's input `(C, Y, X)`.

    Raises:
        ScanweaveError: It is no film, or in colour where the run knows grey ones.
    """
    if volume.shape[2] != 1 or (volume.shape[3] if volume.ndim == 4 else 1) != plan.channels:
        shape = "×".join(map(str, volume.shape))
        wanted = "grey films" if plan.channels == 1 else "films in colour"
        raise ScanweaveError(plan.scan, f"an image of {shape} for a run on {wanted}", "Give films like those")
    axes = volume[:, :, 0, None] if volume.ndim == 3 else volume[:, :, 0]
    image = torch.from_numpy(np.ascontiguousarray(np.nan_to_num(axes).transpose(2, 1, 0)))
    return resized(image, plan.size)


def input_boxes(boxes: Boxes, film: Sequence[int], plan: DetectPlan) -> NDArray[np.float64]:
    """Return boxes in pixels of a film as corners x, y, x, y in the network's input `(N, 4)`.

    Args:
        boxes: In pixels of the film.
        film: Its pixels along X and Y.
        plan: The size of the input.
    """
    factor = np.array(plan.size[::-1]) / np.array(film[:2])
    return np.asarray((boxes.corners * factor).reshape(-1, 4))


class FilmSamples:
    """Samples `{"image" (C, Y, X), "boxes" (N, 4), "classes" (N,), "ignored" (M, 4), "looked" (K,), …, "case"}`.

    Rows beyond the boxes of a film have class −1, ignored ones no extent; N and M are those of the films with most.
    `answer` and `known (K,)` say which findings the film has, and of which that is known.

    Args:
        films: Prepared training films.
        truths: What is known of each.
        plan: Classes and size.
        sampling: What a sample shows.
        seed: Of all draws.
    """

    def __init__(
        self,
        films: Sequence[CachedStudy],
        truths: Sequence[FilmTruth],
        plan: DetectPlan,
        sampling: SamplingSettings,
        seed: int,
    ) -> None:
        self.films, self.truths, self.plan, self.seed = list(films), list(truths), plan, seed
        flips = BOXED_FILM if sampling.mirror else BOXED_FILM.model_copy(update={"flip_shares": 0.0})
        self.augmentation = flips if sampling.augment else None
        self._numbers = {name: number for number, name in enumerate(plan.outputs)}
        self._most_ignored = max((len(truth.ignored) for truth in self.truths), default=0)
        self._kept: dict[int, Tensor] = {}
        self._room = MOST_BYTES_IN_MEMORY

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        number, _ = draw_study(range(len(self.films)), self.seed, index)
        film, truth = self.films[number], self.truths[number]
        native = film.frames[self.plan.scan].native.shape
        boxes, ignored = (input_boxes(part, native, self.plan) for part in (truth.findings, truth.ignored))
        classes = np.array([self._numbers[name] for name in truth.findings.labels], dtype=np.int64)
        image = self._whole(number)
        if self.augmentation is not None:
            crop = Crop((0, 0), self.plan.size)
            made = augmented(image, None, crop, self.seed, index, self.augmentation)
            image = made.image
            boxes, shown = moved_boxes(boxes, made.matrix, self.plan.size)
            classes, ignored = classes[shown], moved_boxes(ignored, made.matrix, self.plan.size)[0]
        names = torch.full((self.plan.most_targets,), -1)
        names[: len(classes)] = torch.from_numpy(classes)
        places = {"boxes": _padded(boxes, self.plan.most_targets), "ignored": _padded(ignored, self._most_ignored)}
        return {"image": image, **places, "classes": names, **_answers(truth), "case": film.id}

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.films, self.seed, index)[0].id

    def _whole(self, number: int) -> Tensor:
        if number in self._kept:
            return self._kept[number]
        found = film_image(np.asarray(self.films[number].volume(self.plan.scan)[:]), self.plan)
        size = found.numel() * found.element_size()
        if size <= self._room:
            self._kept[number] = found
            self._room -= size
        return found


def moved_boxes(
    boxes: NDArray[np.float64], matrix: Matrix, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return boxes `(N, 4)` where an augmented sample shows them, cut off at its border, and which are still shown.

    Args:
        boxes: Corners x, y, x, y in the image [pixels, edges].
        matrix: Index (y, x) in the sample → index in the image; whole numbers are centres of pixels.
        size: Of the sample along Y, X.
    """
    if not len(boxes):
        return boxes, np.zeros(0, dtype=bool)
    first, last = boxes[:, 1::-1] - 0.5, boxes[:, 3:1:-1] - 0.5
    ends = np.stack([moved_points(first, matrix), moved_points(last, matrix)]) + 0.5
    start, stop = ends.min(axis=0), ends.max(axis=0)
    inside = np.clip(start, 0, size), np.clip(stop, 0, size)
    shown = (inside[1] - inside[0]).prod(axis=1) > LEAST_SHOWN * (stop - start).prod(axis=1)
    return np.concatenate([inside[0][:, ::-1], inside[1][:, ::-1]], axis=1)[shown], shown


def _padded(boxes: NDArray[np.float64], rows: int) -> Tensor:
    room = torch.zeros(rows, 4)
    room[: len(boxes)] = torch.from_numpy(boxes)
    return room


def _answers(truth: FilmTruth) -> dict[str, Tensor]:
    answer = torch.tensor(truth.answers, dtype=torch.float32)
    # NaN means that a number went wrong: what is not known travels as a mask of its own
    return {"looked": torch.tensor(truth.looked), "answer": answer.nan_to_num(0.0), "known": ~answer.isnan()}
