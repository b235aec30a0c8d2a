"""Truth of a batch of films, and findings of a detector, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor


class FilmTargets(NamedTuple):
    """Truth of one film of a batch.

    Attributes:
        boxes: `(N, 4)` x, y of both corners [pixels of the input].
        classes: Number of the class of each `(N,)`.
        looked: Whether all boxes of a class are among them `(K,)`.
        answers: Whether the film has each finding, 1 or 0 `(K,)`.
        known: Whether that is known `(K,)`.
    """

    boxes: Tensor
    classes: Tensor
    looked: Tensor
    answers: Tensor
    known: Tensor

    @property
    def complete(self) -> bool:
        """Tell whether the boxes of every class are there."""
        return bool(self.looked.all())

    @property
    def by_label(self) -> Tensor:
        """Tell of which classes the label alone is known `(K,)`."""
        return self.known & ~self.looked


class Found(NamedTuple):
    """Boxes that a detector found in one film, the highest score first.

    Attributes:
        boxes: `(N, 4)` x, y of both corners [pixels of the input].
        scores: `(N,)` in [0, 1].
        classes: Number of the class of each `(N,)`.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def film_targets(batch: Mapping[str, Tensor]) -> list[FilmTargets]:
    """Return the targets of each film of a batch, whose boxes are padded by rows of class −1.

    Args:
        batch: `boxes (B, N, 4)`, `classes (B, N)`, `looked`, `answer` and `known (B, K)`.
    """
    fields = (batch[name] for name in ("boxes", "classes", "looked", "answer", "known"))
    made = []
    for boxes, classes, looked, answers, known in zip(*fields, strict=True):
        own = classes >= 0
        made.append(FilmTargets(boxes[own], classes[own], looked, answers, known))
    return made
