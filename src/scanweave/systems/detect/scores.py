"""Scores of whole films: what its boxes say of it, and what its label teaches where no box is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from scanweave.systems.detect.targets import FilmTargets, Found


def image_scores(found: Sequence[Found], highest: Tensor, how: str) -> Tensor:
    """Return the score of each film for each class `(B, K)`.

    Args:
        found: Boxes of each film.
        highest: Highest score of any proposal `(B, K)`, also where it is too low for a box.
        how: `highest`, or `noisy-or`: 1 − Π (1 − score) over its boxes, and no lower than the highest.
    """
    if how == "highest":
        return highest
    made = torch.stack([_any_of(one, highest.shape[1]) for one in found])
    return torch.maximum(made, highest)


def _any_of(found: Found, classes: int) -> Tensor:
    missed = torch.log1p(-found.scores.clamp(max=1 - torch.finfo(found.scores.dtype).eps))
    return -torch.expm1(missed.new_zeros(classes).index_add(0, found.classes, missed))


def label_loss(logits: Tensor, film: FilmTargets) -> Tensor:
    """Return the cross-entropy of the classes of which the label alone is known, by the highest of `logits (P, K)`."""
    own = film.by_label
    if not len(logits) or not bool(own.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits.amax(dim=0)[own], film.answers[own], reduction="sum")
