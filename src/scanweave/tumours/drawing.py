"""One tumour drawn into an organ: its voxels, its soft border and its texture, on a box around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.tumours.fields import Array
from scanweave.tumours.request import Shape
from scanweave.tumours.shapes import diameter_of, first_voxels, order_of, voxels_of
from scanweave.tumours.texture import draw_texture

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

_REACH = 0.95
"""Half the box against the diameter: a warped ellipsoid is less than 1.9 times as long as the ball."""
EDGE_MM = (1.5, 3.0)
"""Deviation of the blur of a border, FreeTumor's 1 to 2 voxels of 1.5 mm; for small tumours it is less."""
_SHARPER = 8.0
"""A border is at most the diameter over this, so that a small tumour keeps a core."""
_LEAST_SHARE, _LEAST_CORE = 0.02, 0.1
"""Share of a voxel below which it is not touched; least mean share of the voxels of the mask."""


@dataclass(frozen=True, eq=False)
class DrawnTumour:
    """Hold a tumour as it is drawn, before it looks like anything.

    Attributes:
        box: Where it lies in the grid; all arrays have its shape.
        mask: Its voxels.
        soft: Share of each voxel, 0 to 1; 0 outside of the organ.
        texture: In [0, 1].
        wanted_mm: Diameter that was asked for [mm].
        diameter_mm: Of the ball of the same volume [mm].
        edge_mm: Deviation of its border [mm].
    """

    box: Box
    mask: Mask
    soft: Array
    texture: Array
    wanted_mm: float
    diameter_mm: float
    edge_mm: float


def draw_tumour(
    rng: Generator,
    organ: Mask,
    centre: Sequence[int],
    diameter_mm: float,
    spacing: Sequence[float],
    *,
    shape: Shape = "ellipsoid",
    edge_mm: float | None = None,
    grows_to_mm: float | None = None,
) -> DrawnTumour:
    """Draw a tumour of the volume of a ball, within an organ.

    Args:
        rng: The source of chance.
        organ: Voxels that it may take, `(X, Y, Z)`; only those around it are read.
        centre: Its first voxel, in the organ.
        diameter_mm: Of the ball [mm].
        spacing: Size of a voxel along each axis [mm].
        shape: Which kind.
        edge_mm: Deviation of its border [mm]; None: drawn.
        grows_to_mm: Largest diameter of a series [mm]: of one chance, the smaller tumours lie in the larger.

    Raises:
        ScanweaveError: The border is so soft that nothing is left.
    """
    largest = max(diameter_mm, grows_to_mm or 0.0)
    form, look = (np.random.default_rng(rng.integers(2**63)) for _ in range(2))
    edge = min(form.uniform(*EDGE_MM), diameter_mm / _SHARPER) if edge_mm is None else edge_mm
    reach = _REACH * largest + 3 * max(EDGE_MM[1], edge)
    box = box_around(centre, organ.shape, reach, spacing)
    allowed = np.ascontiguousarray(organ[box])
    inside = [at - part.start for at, part in zip(centre, box, strict=True)]
    order = order_of(form, shape, allowed, inside, spacing, largest)
    mask = first_voxels(order, voxels_of(diameter_mm, spacing))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), edge / np.asarray(spacing)) * allowed
    soft[soft < _LEAST_SHARE] = 0.0
    if soft[mask].mean() < _LEAST_CORE:
        reason = f"a border of {edge:g} mm leaves hardly anything of a tumour of {diameter_mm:g} mm"
        raise ScanweaveError("edge_mm", reason, "Give a sharper one, or a larger tumour")
    texture = draw_texture(look, allowed.shape, spacing)
    return DrawnTumour(box, mask, soft, texture, diameter_mm, diameter_of(int(mask.sum()), spacing), float(edge))


def box_around(centre: Sequence[int], shape: Sequence[int], reach_mm: float, spacing: Sequence[float]) -> Box:
    """Return the box that reaches so far from a voxel on all sides, as far as the grid goes."""
    half = [int(np.ceil(reach_mm / step)) for step in spacing]
    low = [max(0, at - by) for at, by in zip(centre, half, strict=True)]
    high = [min(size, at + by + 1) for at, by, size in zip(centre, half, shape, strict=True)]
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z
