"""Plan of a run from its training films: classes, size of the input, anchors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.saved_plan import EMBEDDING
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.systems.detect.config import NetworkSettings

FILE = "question.json"
BOXES = "boxes"
"""Target by which the boxes of a film are asked for."""
COARSEST = 64
"""Pixels of the input for one of the coarsest level; edges are multiples of it, so that levels lie on each other."""
LEAST_EDGE = 2 * COARSEST
"""Shortest edge of an input: norms of the coarsest level need more than one pixel, and small findings a few."""
STRIDES = (4, 8, 16, 32, 64)
"""Pixels of the input for one of levels p2 to p6 (Tan et al., EfficientDet, CVPR 2020; Lin et al., FPN, CVPR 2017)."""
SCALES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Edges of anchors that are tried, in pixels of their level; 8 is torchvision's."""
USUAL_SCALE, USUAL_RATIOS = 8.0, (0.5, 1.0, 2.0)
RATIO_QUANTILES = (0.1, 0.5, 0.9)
ALIKE = 1.15
"""Ratios of less than this factor apart are one."""


class DetectPlan(AnswerPlan):
    """The question and the input of a run; saved as `question.json`. See `AnswerPlan`, whose outputs are the classes.

    Attributes:
        scan: The film that boxes lie on.
        channels: 1 of grey films, 3 of colour.
        size: Pixels of the input along Y, X.
        anchor_scale: Edge of a square anchor, in pixels of its level.
        anchor_ratios: Heights of anchors over their widths.
        most_targets: Boxes of the training film that has most.
    """

    scan: str
    channels: int
    size: tuple[int, int]
    anchor_scale: float
    anchor_ratios: tuple[float, ...]
    most_targets: int

    @property
    def sources(self) -> tuple[str, ...]:
        """The column of the manifest that it is told from."""
        return (f"scan:{self.scan}",)

    @property
    def targets(self) -> tuple[str, ...]:
        """The boxes, the findings, and the embedding, which is made only when it is asked for."""
        return (BOXES, *self.labels, EMBEDDING)


def plan_size(shapes: Sequence[Sequence[int]], settings: NetworkSettings) -> tuple[tuple[int, int], str]:
    """Return the input along Y, X [pixels], multiples of 64 and at least 128, and why.

    Args:
        shapes: Pixels `(X, Y)` of the training films.
        settings: What the user decided.
    """
    if settings.size is not None:
        size = (_rounded(settings.size[0]), _rounded(settings.size[1]))
        words = "as asked" if size == settings.size else f"as asked, in multiples of {COARSEST} from {LEAST_EDGE} on"
        return size, f"input: {size[0]}×{size[1]} (Y×X); {words}"
    width, height = (float(edge) for edge in np.median(np.array(shapes), axis=0)[:2])
    largest = (settings.most_pixels / (width * height)) ** 0.5
    factor = min(largest, max(1.0, LEAST_EDGE / min(width, height)))
    size = (_rounded(height * factor), _rounded(width * factor))
    seen = f"the median film has {height:.0f}×{width:.0f}"
    shrunk = f", at most about {settings.most_pixels:,} pixels" if factor < 1 else ""
    return size, f"input: {size[0]}×{size[1]} (Y×X), in multiples of {COARSEST}; {seen}{shrunk}"


def _rounded(edge: float) -> int:
    return max(LEAST_EDGE, round(edge / COARSEST) * COARSEST)


def plan_anchors(extents: NDArray[np.float64]) -> tuple[float, tuple[float, ...], str]:
    """Return scale and ratios of anchors that fit the training boxes best, and how well they do.

    Ratios are quantiles of the boxes'; of the scales that with the highest mean IoU of a box and the best anchor of the
    same centre.

    Args:
        extents: Widths and heights of the training boxes in the network's input `(N, 2)` [pixels].
    """
    if not len(extents):
        return USUAL_SCALE, USUAL_RATIOS, "anchors: torchvision's, since there is no training box"
    ratios = _apart(np.exp(np.quantile(np.log(extents[:, 1] / extents[:, 0]), RATIO_QUANTILES)))
    fits = {scale: float(best_overlap(extents, scale, ratios).mean()) for scale in SCALES}
    scale = max(fits, key=fits.__getitem__)
    words = ", ".join(f"{ratio:g}" for ratio in ratios)
    edges = f"{scale * STRIDES[0]:g} to {scale * STRIDES[-1]:g} pixels"
    reason = f"anchors: {edges}, height over width {words}; mean IoU with the training boxes {fits[scale]:.2f}"
    return scale, ratios, reason


def best_overlap(extents: NDArray[np.float64], scale: float, ratios: Sequence[float]) -> NDArray[np.float64]:
    """Return the IoU of each box `(N, 2)` with the best anchor of the same centre `(N,)`."""
    edges = scale * np.array(STRIDES, dtype=float)[:, None]
    root = np.sqrt(np.array(ratios))
    anchors = np.stack([edges / root, edges * root], axis=-1).reshape(-1, 2)
    common = np.minimum(extents[:, None], anchors[None]).prod(axis=-1)
    union = extents.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - common
    return np.asarray((common / union).max(axis=1))


def _apart(ratios: NDArray[np.float64]) -> tuple[float, ...]:
    """Return ratios in rising order, without those that are nearly another one."""
    kept: list[float] = []
    for ratio in ratios.tolist():
        if not kept or ratio >= ALIKE * kept[-1]:
            kept.append(round(ratio, 2))
    return tuple(kept)
