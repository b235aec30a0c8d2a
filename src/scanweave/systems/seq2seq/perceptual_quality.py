"""LPIPS by region, where local weights are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanweave.measures.perceptual import lpips
from scanweave.studies.preparing.foreground import bounding_box

LEAST_SIDE_VOXELS = 64
"""Side [voxels] that the network needs; smaller slices get background around them."""


def region_lpips(
    prediction: NDArray[np.float32],
    real: NDArray[np.float32],
    brain: NDArray[np.bool_],
    limits: tuple[float, float],
    weights: tuple[Path, Path],
) -> dict[str, float]:
    """Return the LPIPS of the volume, of the box of the brain, and of that box with all but the brain blackened.

    `weights`: files of AlexNet as torchvision gives it, and of the linear layers of the lpips package.
    """
    box = bounding_box(brain)
    black = limits[0]
    both = {
        "brain": [np.where(brain[box], volume[box], black) for volume in (prediction, real)],
        "box": [volume[box] for volume in (prediction, real)],
        "volume": [prediction, real],
    }
    return {name: lpips(_wide(a, black), _wide(b, black), limits, *weights) for name, (a, b) in both.items()}


def _wide(volume: NDArray[np.float32], black: float) -> NDArray[np.float32]:
    short = [max(0, LEAST_SIDE_VOXELS - side) for side in volume.shape[:2]]
    return np.pad(volume, [(n // 2, n - n // 2) for n in short] + [(0, 0)], constant_values=black)
