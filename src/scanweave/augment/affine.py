"""Affine maps of samples: drawn, applied to images and masks, and handed out for boxes and points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.augment.crops import Crop
from scanweave.augment.settings import AugmentationSettings
from scanweave.errors import ScanweaveError

Matrix = NDArray[np.float64]
ROUNDING_VOXELS = 1e-3


def draw_affine(rng: np.random.Generator, crop: Crop, settings: AugmentationSettings) -> Matrix:
    """Return a random affine map of voxels of a sample to voxels of the image that it is taken from.

    It turns about the middle of the crop. Chance is asked for the same numbers whatever happens, so that one setting
    does not change what another draws.

    Args:
        rng: Source of chance.
        crop: What the sample shows where nothing is varied; it has the crop's size.
        settings: Shares and ranges.

    Returns:
        Homogeneous matrix `(axes + 1, axes + 1)`: index in the sample → index in the image, axes in their order.

    Raises:
        ScanweaveError: There is not one probability of a flip for each axis.
    """
    size = crop.size
    axes = len(size)
    flips = settings.flip_shares
    shares = [flips] * axes if isinstance(flips, float | int) else list(flips)
    if len(shares) != axes:
        raise ScanweaveError("flip_shares", f"{len(shares)} values for {axes} axes", "Give one number, or one an axis")
    turned, scaled, shifted = rng.random(3) < (settings.rotation_share, settings.scaling_share, settings.shift_share)
    angles = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation, 3))
    factor = balanced(rng, settings.scaling)
    moves = rng.uniform(-settings.shift, settings.shift, axes) * np.asarray(size)
    mirror = np.where(rng.random(axes) < shares, -1.0, 1.0)
    free = np.array([not (settings.in_plane and axes == 3 and axis == 0) for axis in range(axes)])
    linear = rotation(angles, axes, settings.in_plane) if turned else np.eye(axes)
    if scaled:
        linear = linear * np.where(free, 1 / factor, 1.0)
    linear, half = linear * mirror, (np.asarray(size) - 1) / 2
    centre = np.asarray(crop.start) + half + (moves if shifted else 0.0)
    matrix = np.eye(axes + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = centre - linear @ half
    return matrix


def balanced(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Return a factor that lies below 1 as often as above, uniformly on each side; within `limits` if both are on one.

    batchgenerators draws its factors so.
    """
    low, high = limits
    below, place = rng.random() < 0.5, rng.random()
    if low < 1 < high:
        low, high = (low, 1.0) if below else (1.0, high)
    return float(low + place * (high - low))


def rotation(angles: NDArray[np.float64], axes: int, in_plane: bool = False) -> Matrix:
    """Return the rotation by `angles` [radians] about the axes in turn, or in the plane of the last two.

    Args:
        angles: Three angles; where the rotation is in a plane the first is taken.
        axes: 2 or 3.
        in_plane: Whether the first of three axes stays.
    """
    made = np.eye(axes)
    planes = [(-2, -1)] if axes == 2 or in_plane else [(1, 2), (2, 0), (0, 1)]
    for (a, b), angle in zip(planes, angles, strict=False):
        one = np.eye(axes)
        one[[a, b], [a, b]] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        made = made @ one
    return made


def seen_box(matrix: Matrix, size: Sequence[int], shape: Sequence[int]) -> Crop:
    """Return the least box of the image that a sample takes its values from, within the image.

    Args:
        matrix: Index in the sample → index in the image.
        size: Voxels of the sample.
        shape: Voxels of the image.
    """
    corners = np.array(list(product(*[(0, count - 1) for count in size])))
    there = corners @ matrix[:-1, :-1].T + matrix[:-1, -1]
    edges = np.asarray(shape)
    # rounding must not take away a voxel that the sample asks for
    first = np.clip(np.floor(there.min(axis=0) - ROUNDING_VOXELS), 0, edges - 1).astype(int)
    last = np.clip(np.ceil(there.max(axis=0) + ROUNDING_VOXELS), first, edges - 1).astype(int)
    return Crop(tuple(first.tolist()), tuple((last - first + 1).tolist()))


def moved(matrix: Matrix, start: Sequence[int]) -> Matrix:
    """Return the map to indices of a box that begins at `start` of the image."""
    made = matrix.copy()
    made[:-1, -1] -= start
    return made


def moved_points(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Return where points of the image `(N, axes)` lie in the sample, in voxels; voxel centres are whole numbers."""
    back = np.linalg.inv(matrix)
    return points @ back[:-1, :-1].T + back[:-1, -1]


def resampled(
    image: Tensor, matrix: Matrix, size: Sequence[int], nearest: bool = False, border: bool = False
) -> Tensor:
    """Return the sample of an image that an affine map describes.

    Flips and shifts by whole voxels are exact; else values are interpolated linearly.

    Args:
        image: `(C, *spatial)`, two or three axes, any type.
        matrix: Index in the sample → index in the image, `(axes + 1, axes + 1)`.
        size: Voxels of the sample.
        nearest: Whether the nearest voxel is taken (masks of labels).
        border: Whether voxels beyond the image repeat its border rather than being 0.

    Returns:
        `(C, *size)` of the same type, in memory of its own.
    """
    linear = matrix[:-1, :-1]
    if np.array_equal(np.abs(linear), np.eye(len(size))) and np.allclose(matrix[:-1, -1] % 1, 0, atol=1e-9):
        return _gathered(image, np.diag(linear), np.rint(matrix[:-1, -1]).astype(int), size, border)
    shape = np.asarray(image.shape[1:])
    # grid_sample counts from -1 at the first voxel's edge to 1 at the last one's, the last axis first
    to_grid = np.diag([*(2 / shape), 1.0])
    to_grid[:-1, -1] = 1 / shape - 1
    from_grid = np.diag([*(np.asarray(size) / 2), 1.0])
    from_grid[:-1, -1] = (np.asarray(size) - 1) / 2
    theta = (to_grid @ matrix @ from_grid)[:-1]
    theta = np.concatenate([theta[::-1, -2::-1], theta[::-1, -1:]], axis=1)
    grid = F.affine_grid(torch.from_numpy(theta).float()[None], [1, 1, *size], align_corners=False)
    found = F.grid_sample(
        image.float()[None],
        grid,
        mode="nearest" if nearest else "bilinear",
        padding_mode="border" if border else "zeros",
        align_corners=False,
    )[0]
    return found.to(image.dtype)


def _gathered(image: Tensor, signs: Matrix, start: NDArray[np.int_], size: Sequence[int], border: bool) -> Tensor:
    made = image
    for axis, (sign, first, count) in enumerate(zip(signs, start, size, strict=True), start=1):
        edge = image.shape[axis]
        index = int(first) + int(sign) * torch.arange(count)
        made = made.index_select(axis, index.clamp(0, edge - 1))
        beyond = (index < 0) | (index >= edge)
        if not border and bool(beyond.any()):
            made = made.index_fill(axis, beyond.nonzero()[:, 0], 0)
    return made
