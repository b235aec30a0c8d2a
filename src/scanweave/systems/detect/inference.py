"""Whole films through the network: boxes in pixels of the film, scores of the film, embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.studies.boxes import Boxes
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.planning import DetectPlan
from scanweave.systems.detect.samples import film_image
from scanweave.systems.detect.targets import Found

BATCH = 8
"""Films that go through the network at once."""


class Film(NamedTuple):
    """A film ready for a network.

    Attributes:
        volume: As it is prepared, `(X, Y, 1)` or `(X, Y, 1, C)`.
        size: Pixels of the film itself along X and Y.
    """

    volume: NDArray[np.float32]
    size: tuple[int, int]


class Reading(NamedTuple):
    """A film as a network reads it.

    Attributes:
        boxes: With scores, in pixels of the film.
        shares: Score of each class for the film as a whole `(K,)`.
    """

    boxes: Boxes
    shares: NDArray[np.float64]


class FilmReader:
    """A network ready to read whole films.

    Args:
        network: On its device.
        plan: Classes and size of the input.
    """

    def __init__(self, network: Detector, plan: DetectPlan) -> None:
        self.network, self.plan = network.eval(), plan

    def read(self, films: Iterable[Film]) -> list[Reading]:
        """Return what is seen in each film."""
        made: list[Reading] = []
        waiting: list[Film] = []
        for film in films:
            waiting.append(film)
            if len(waiting) == BATCH:
                made += self._read(waiting)
                waiting = []
        return made + (self._read(waiting) if waiting else [])

    def embedding(self, film: Film) -> NDArray[np.float32]:
        """Return a feature of a film `(D,)`."""
        with torch.inference_mode():
            made: NDArray[np.float32] = self.network.embed(self._input([film]))[0].cpu().numpy()
        return made

    def _input(self, films: Sequence[Film]) -> Tensor:
        device = next(self.network.parameters()).device
        return torch.stack([film_image(film.volume, self.plan) for film in films]).to(device)

    def _read(self, films: Sequence[Film]) -> list[Reading]:
        with torch.inference_mode():
            found, shares = self.network(self._input(films))
        rows = shares.double().cpu().numpy()
        return [
            Reading(native_boxes(one, film.size, self.plan), row)
            for one, film, row in zip(found, films, rows, strict=True)
        ]


def native_boxes(found: Found, size: tuple[int, int], plan: DetectPlan) -> Boxes:
    """Return what was found in the network's input as boxes in pixels of the film.

    Args:
        found: In the input.
        size: Pixels of the film along X and Y.
        plan: Names of the classes, size of the input.
    """
    factor = np.array(size) / np.array(plan.size[::-1])
    corners = found.boxes.double().cpu().numpy().reshape(-1, 2, 2) * factor
    names = tuple(plan.outputs[number] for number in found.classes.tolist())
    return Boxes(corners, names, "pixel", found.scores.double().cpu().numpy(), size=size)
