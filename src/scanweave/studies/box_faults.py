"""Find what makes boxes unusable or doubtful, from their numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scanweave.wording import listed

FaultKind = Literal[
    "non-finite", "swapped", "empty", "normalised", "outside", "overhang", "duplicate", "class", "class-case", "score"
]

ROUNDING_PIXELS = 0.01
"""Distance beyond the border of an image that is rounding of a text file, not a fault [pixel or voxel]."""

SAME_CORNER = 1e-6
"""Corners that differ by less are equal [unit of the boxes]."""

_AXES = "xyz"


@dataclass(frozen=True)
class BoxFault:
    """One fault of one box.

    Attributes:
        box: Its number, from 0.
        kind: One word for it.
        words: What it is, without the number.
    """

    box: int
    kind: FaultKind
    words: str

    def __str__(self) -> str:
        return f"box {self.box + 1}: {self.words}"


def find_faults(
    corners: NDArray[np.float64],
    labels: Sequence[str],
    scores: NDArray[np.float64] | None,
    size: tuple[int, ...] | None,
    in_pixels: bool,
    classes: Sequence[str] | None,
) -> tuple[BoxFault, ...]:
    """Return the faults of boxes `corners` (N, 2, D), ordered by box.

    Args:
        corners: Start and stop of each box.
        labels: Their class names.
        scores: Their scores in [0, 1], if any.
        size: Of the image, (D,) [pixel or voxel]; None: unknown, so that nothing lies outside.
        in_pixels: Whether fractions of the image would be a mistake.
        classes: The class names that are known; None: every name that is not empty.
    """
    faults: list[BoxFault] = []
    known = None if classes is None else list(classes)
    seen: set[tuple[object, ...]] = set()
    for box, (start, stop) in enumerate(corners):
        place = _place_fault(start, stop, size, in_pixels)
        key = (labels[box], *np.round(np.concatenate([start, stop]) / SAME_CORNER).tolist())
        if place:
            faults.append(BoxFault(box, *place))
        if np.isfinite(corners[box]).all() and key in seen:
            faults.append(BoxFault(box, "duplicate", f"the same '{labels[box]}' stands there already"))
        seen.add(key)
        name = _class_fault(labels[box], known)
        if name:
            faults.append(BoxFault(box, *name))
        if scores is not None and not 0 <= scores[box] <= 1:
            faults.append(BoxFault(box, "score", f"the score {scores[box]:g} does not lie in [0, 1]"))
    return tuple(faults)


def _place_fault(
    start: NDArray[np.float64], stop: NDArray[np.float64], size: tuple[int, ...] | None, in_pixels: bool
) -> tuple[FaultKind, str] | None:
    """Return the first fault of one box's corners, or None."""
    words = _corner_words(start, stop)
    if not np.isfinite([start, stop]).all():
        return "non-finite", f"corner {words} is not finite"
    if (start == stop).any():
        axis = _AXES[int(np.argmax(start == stop))]
        return "empty", f"no extent along {axis} ({words})"
    if in_pixels and _looks_normalised(start, stop):
        return "normalised", f"{words} look like shares of the image where pixels are expected"
    if (stop < start).any():
        axes = " and ".join(_AXES[i] for i in np.flatnonzero(stop < start))
        return "swapped", f"stop lies before start along {axes} ({words})"
    if size is None:
        return None
    most = np.array(size, dtype=np.float64)
    image = "×".join(str(n) for n in size)
    if (stop <= 0).any() or (start >= most).any():
        return "outside", f"{words} lies outside of the image of {image}"
    if (start < -ROUNDING_PIXELS).any() or (stop > most + ROUNDING_PIXELS).any():
        return "overhang", f"{words} reaches beyond the image of {image}"
    return None


def _looks_normalised(start: NDArray[np.float64], stop: NDArray[np.float64]) -> bool:
    both = np.stack([start, stop])
    return bool(both.min() >= 0 and both.max() <= 1 and (both != np.round(both)).any())


def _class_fault(label: str, known: list[str] | None) -> tuple[FaultKind, str] | None:
    if not label.strip():
        return "class", "has no class"
    if known is None or label in known:
        return None
    alike = [name for name in known if name.strip().casefold() == label.strip().casefold()]
    if len(alike) == 1:
        return "class-case", f"class '{label}' is written '{alike[0]}' elsewhere"
    return "class", f"class '{label}' is unknown (known: {listed(known) or 'none'})"


def _corner_words(start: NDArray[np.float64], stop: NDArray[np.float64]) -> str:
    return " to ".join("(" + ", ".join(f"{value:g}" for value in corner) + ")" for corner in (start, stop))
