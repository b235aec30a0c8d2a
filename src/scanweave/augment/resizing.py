"""Whole images brought to the size that a network takes, smoothed where they shrink."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return an image at another size, by triangle filters that widen as it shrinks (antialiased).

    torch antialiases two axes only; the filter is separable, so that a volume takes two passes.

    Args:
        image: `(C, *spatial)`, two or three axes, float32, without NaN.
        size: Voxels along each spatial axis.

    Returns:
        `(C, *size)`; the same tensor where the size is its own.
    """
    if tuple(image.shape[1:]) == tuple(size):
        return image
    if image.ndim == 3:
        height, width = size
        return _plane(image[None], (height, width))[0]
    depth, height, width = size
    planes = _plane(image, (height, width))  # (C, D, H, W) is D channels of C images
    return _plane(planes.transpose(1, 2), (depth, width)).transpose(1, 2).contiguous()


def _plane(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
