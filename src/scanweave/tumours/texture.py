"""Texture of a tumour: grains of noise in clusters, after SynTumor and FreeTumor (Hu et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from scanweave.tumours.fields import Array

_LATTICE_MM = 1.5
"""Textures are made on voxels of this size, FreeTumor's: finer voxels show them between."""
_CLUSTERS, _GRAINS = (3.0, 6.0, 9.0, 12.0, 15.0), (4.0, 7.0)
"""Deviations of the two blurs, in these voxels."""
_CHANCE = (0.05, 0.25)
"""Chance of a grain, between clusters and in them."""
_SHOWN, _LEVEL = 0.12, (0.5, 0.55)
"""What counts as within a grain, and the mean there."""


def draw_texture(rng: Generator, shape: Sequence[int], mm: Sequence[float]) -> Array:
    """Return a texture in [0, 1] of mean about 0.5.

    Args:
        rng: The source of chance.
        shape: Voxels of the box.
        mm: Size of a voxel along each axis [mm].
    """
    step = np.maximum(np.asarray(mm, dtype=float), _LATTICE_MM)
    ratio = np.asarray(mm) / step
    lattice = tuple(int(np.ceil((n - 1) * r)) + 1 for n, r in zip(shape, ratio, strict=True))
    clusters, grains = (float(rng.choice(sizes)) * _LATTICE_MM / step for sizes in (_CLUSTERS, _GRAINS))
    noise = ndimage.gaussian_filter(rng.random(lattice, dtype=np.float32), clusters)
    low, high = float(noise.min()), float(noise.max())
    chance = _CHANCE[0] + (_CHANCE[1] - _CHANCE[0]) * (noise - low) / max(high - low, 1e-6)
    made = ndimage.gaussian_filter((rng.random(lattice, dtype=np.float32) < chance).astype(np.float32), grains)
    shown = made[made > _SHOWN]
    made = made * (rng.uniform(*_LEVEL) / max(float(shown.mean() if shown.size else made.mean()), 1e-6))
    if (ratio < 1).any():
        made = ndimage.affine_transform(made, ratio, output_shape=tuple(shape), order=1, mode="nearest")
    return np.clip(made, 0, 1).astype(np.float32)
