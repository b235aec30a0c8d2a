"""Truth of a batch of films, and findings of a detector, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class FilmTargets(NamedTuple):
    """Truth of one film of a batch.

    Attributes:
        boxes: `(N, 4)` x, y of both corners [pixels of the input].
        classes: Number of the class of each `(N,)`.
        ignored: Boxes `(M, 4)` on which nothing is right or wrong; some may be without extent, on which nothing is.
        looked: Whether all boxes of a class are among them `(K,)`.
        answers: Whether the film has each finding, 1 or 0 `(K,)`.
        known: Whether that is known `(K,)`.
    """

    boxes: Tensor
    classes: Tensor
    ignored: Tensor
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
        batch: `boxes (B, N, 4)`, `classes (B, N)`, `ignored (B, M, 4)`, `looked`, `answer` and `known (B, K)`.
    """
    fields = (batch[name] for name in ("boxes", "classes", "ignored", "looked", "answer", "known"))
    made = []
    for boxes, classes, *others in zip(*fields, strict=True):
        own = classes >= 0
        made.append(FilmTargets(boxes[own], classes[own], *others))
    return made


def on_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Return whether half of each box `(N, 4)` or more lies on an ignored one `(M, 4)`: booleans `(N,)`."""
    start = torch.maximum(boxes[:, None, :2], ignored[None, :, :2])
    stop = torch.minimum(boxes[:, None, 2:], ignored[None, :, 2:])
    common = (stop - start).clamp(min=0).prod(dim=-1)
    own = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=-1)
    return (common > 0.5 * own[:, None]).any(dim=1)
