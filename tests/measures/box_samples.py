"""Boxes of an image, as the measures of detection read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Found:
    corners: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray | None = None
    ignored: np.ndarray | None = None


def boxes(*rows, scores=None, ignored=None, name="nodule"):
    corners = np.array(rows, dtype=float).reshape(len(rows), 2, -1) if rows else np.zeros((0, 2, 2))
    scores = None if scores is None else np.array(scores, dtype=float)
    return Found(corners, (name,) * len(rows), scores, None if ignored is None else np.array(ignored))
