"""Fixed positions of tokens on a grid, by sines and cosines of their places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LONGEST_WAVE = 10_000.0
"""Base of the wavelengths (Vaswani et al., NeurIPS 2017)."""


def grid_positions(grid: Sequence[int], width: int) -> Tensor:
    """Return the positions `(N, D)` of the tokens of a grid, the last axis fastest.

    Each axis has an equal, even share of the numbers, half of it sines and half cosines; what is left over is 0.

    Args:
        grid: Tokens along each axis.
        width: Numbers of a position D.
    """
    share = width // (2 * len(grid))
    waves = LONGEST_WAVE ** (-torch.arange(share, dtype=torch.float64) / max(share, 1))
    made = torch.zeros(*grid, width, dtype=torch.float64)
    for axis, count in enumerate(grid):
        angles = torch.arange(count, dtype=torch.float64)[:, None] * waves
        along = torch.cat([angles.sin(), angles.cos()], dim=1)
        shape = [count if other == axis else 1 for other in range(len(grid))]
        made[..., axis * 2 * share : (axis + 1) * 2 * share] = along.view(*shape, -1)
    return made.flatten(0, -2).float()
