"""Changes of a film: a mark filled from its surroundings, or pasted in from another film."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic
from skimage.transform import resize

from scanweave.studies.boxes import Boxes

Image = NDArray[np.float64]
Corners = NDArray[np.float64]
Place = tuple[slice, slice]
EDGE_SHARE = 0.1
"""Width of what is blended around a box, as a share of its shorter edge; at least a pixel, as marks have soft edges."""
RIM_SHARE = 0.5
"""Width of the surroundings that a box is filled from, as a share of its shorter edge."""
LEAST_RIM_PIXELS = 4
"""Fewer pixels around a box say little of how its surroundings go on."""
MOST_FILL_PIXELS = 32
"""Longest edge of what is filled at once; a larger box is filled coarser, so that film noise does not grow inwards."""
OTHER_DEPTH = 4.0
"""Ratio of the ranges of two films from which they are of another bit depth; those of one depth differ by less."""
TRIES = 200
"""Places that are drawn for a box before none counts as free."""


def place_of(corners: Corners, size: tuple[int, int], grown: float = 0.0) -> Place:
    """Return the pixels that a box `(2, 2)` touches, grown by some pixels and cut to the film.

    Args:
        corners: Start and stop (x, y) [pixel].
        size: Width and height of the film.
        grown: What is added on every side [pixel].
    """
    start = np.floor(np.clip(corners[0] - grown, 0, np.array(size) - 1)).astype(int)
    stop = np.maximum(np.ceil(np.clip(corners[1] + grown, 0, size)).astype(int), start + 1)
    return slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))


def filled(image: Image, boxes: Iterable[Corners]) -> Image:
    """Return a film whose boxes, with their soft edge, go on as their surroundings do (biharmonic inpainting).

    Args:
        image: `(X, Y)`.
        boxes: Corners `(2, 2)` of each [pixel].
    """
    made = image.copy()
    size = (image.shape[0], image.shape[1])
    for corners in boxes:
        edge = edge_of(corners)
        inner = place_of(corners, size, edge)
        outer = place_of(corners, size, edge + max(LEAST_RIM_PIXELS, RIM_SHARE * _shorter(corners)))
        crop = made[outer]
        unknown = np.zeros(crop.shape, dtype=bool)
        unknown[tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))] = True
        made[inner] = _inpainted(crop, unknown)[unknown].reshape(made[inner].shape)
    return made


def moved_box(rng: np.random.Generator, corners: Corners, taken: Corners, size: tuple[int, int]) -> Corners | None:
    """Return a box of the same size at a random place that is free; None where none was found.

    Args:
        rng: Draws the places.
        corners: The box `(2, 2)` [pixel].
        taken: Boxes `(N, 2, 2)` that the place, with its soft edge, must not touch.
        size: Width and height of the film.
    """
    extent, edge = corners[1] - corners[0], edge_of(corners)
    room = np.maximum(np.array(size) - extent, 0)
    for start in rng.uniform(0, 1, (TRIES, 2)) * room:
        moved = np.stack([start, start + extent])
        if not touches(moved, taken, edge):
            return moved
    return None


def touches(corners: Corners, others: Corners, margin: float = 0.0) -> bool:
    """Tell whether a box `(2, 2)`, grown by a margin [pixel], meets any of others `(N, 2, 2)`."""
    apart = (others[:, 0] >= corners[1] + margin) | (others[:, 1] <= corners[0] - margin)
    return bool((~apart.any(axis=1)).any())


def carried(corners: Corners, source: tuple[int, int], target: tuple[int, int]) -> Corners:
    """Return boxes `(…, 2)` of a film at the same relative place of another one, from their sizes."""
    return corners * (np.array(target) / np.array(source))


def transplanted(image: Image, donor: Image, boxes: Corners) -> Image:
    """Return a film with the patches of another one, pasted at the same relative place with a feathered edge.

    A patch keeps its contrast to its own surroundings and takes on the grey level of those that it comes to: both are
    what `filled` makes of the place. Between films of another bit depth the contrast is a share of the range of each.

    Args:
        image: The film `(X, Y)` that is changed.
        donor: The film `(U, V)` that gives.
        boxes: Corners `(N, 2, 2)` of the patches in the donor [pixel].
    """
    made = image.copy()
    size, source = (image.shape[0], image.shape[1]), (donor.shape[0], donor.shape[1])
    there = carried(boxes, source, size)
    level_here, level_there = filled(image, there), filled(donor, boxes)
    scale = _depth_ratio(level_here, level_there)
    for corners, target in zip(boxes, there, strict=True):
        edge = edge_of(target)
        place, origin = place_of(target, size, edge), place_of(corners, source, edge_of(corners))
        contrast = scale * (donor - level_there)[origin]
        shape = made[place].shape
        if contrast.shape != shape:
            contrast = resize(contrast, shape, order=1, mode="edge", anti_aliasing=True, preserve_range=True)
        share = _feather(target, place, edge)
        made[place] = (1 - share) * made[place] + share * (level_here[place] + contrast)
    return made


def _depth_ratio(image: Image, donor: Image) -> float:
    """Return the ratio of the ranges of two films but for a hundredth at either end; 1 of films of one bit depth."""
    own, other = (float(np.ptp(np.percentile(one, [1, 99]))) for one in (image, donor))
    if min(own, other) <= 0 or max(own, other) <= OTHER_DEPTH * min(own, other):
        return 1.0
    return own / other


def boxes_of(boxes: Boxes, names: Iterable[str]) -> Corners:
    """Return the corners `(N, 2, 2)` of the boxes of some classes."""
    wanted = set(names)
    return boxes.corners[[label in wanted for label in boxes.labels]]


def edge_of(corners: Corners) -> float:
    """Return the width of the soft edge of a box `(2, 2)` [pixel]."""
    return max(1.0, EDGE_SHARE * _shorter(corners))


def _shorter(corners: Corners) -> float:
    return float((corners[1] - corners[0]).min())


def _feather(corners: Corners, place: Place, edge: float) -> Image:
    """Return how much of a patch shows: 1 within its box, 0 from the edge on, linear between `(X, Y)`."""
    shares = []
    for axis, span in enumerate(place):
        centres = np.arange(span.start, span.stop) + 0.5
        beyond = np.maximum(corners[0, axis] - centres, centres - corners[1, axis])
        shares.append(np.clip(1 - np.maximum(beyond, 0) / edge, 0, 1))
    return np.minimum.outer(shares[0], shares[1])


def _inpainted(crop: Image, unknown: NDArray[np.bool_]) -> Image:
    """Return a crop whose unknown pixels go on as the known ones do; a large one is filled at a coarser size."""
    if unknown.all():
        return np.full_like(crop, crop.mean())
    factor = min(1.0, MOST_FILL_PIXELS / max(crop.shape))
    if factor == 1:
        return np.asarray(inpaint_biharmonic(crop, unknown), dtype=np.float64)
    known = ~unknown
    level = np.where(known, crop, crop[known].mean())  # so that coarse pixels hold nothing of what is filled
    small = tuple(max(3, round(factor * edge)) for edge in crop.shape)
    weight = resize(known.astype(float), small, order=1, mode="edge", anti_aliasing=True)
    coarse = resize(level, small, order=1, mode="edge", anti_aliasing=True, preserve_range=True)
    hidden = weight < 0.99
    if hidden.all():
        return level
    return np.asarray(
        resize(inpaint_biharmonic(coarse, hidden), crop.shape, order=1, mode="edge", preserve_range=True),
        dtype=np.float64,
    )
