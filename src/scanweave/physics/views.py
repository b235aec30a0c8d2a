"""The same scanner with more or fewer views, or lines of k-space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from deepinv.physics import LinearPhysics

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import even_angles
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.fourier import FourierPhysics

CENTRE = 0.08
"""Share of k-space lines around the zero frequency that stay when lines are taken away."""


def with_views(physics: LinearPhysics, factor: float, seed: int = 0) -> LinearPhysics:
    """Return the scanner with `factor` times as many views (CT) or sampled columns (MRI).

    Views spread evenly over the same sweep. Columns are added at random, or taken away at random outside the centre.

    Raises:
        ScanweaveError: The views are not evenly spread, the mask is not of whole columns, or nothing would be left.
    """
    if isinstance(physics, CtPhysics):
        angles = np.asarray(physics.geometry.angles)
        turn = float(np.diff(angles).mean()) if len(angles) > 1 else 0.0
        if not turn or not np.allclose(np.diff(angles), turn):
            raise ScanweaveError("angles", "are not evenly spread", "Ask for more views of an evenly spread scan only")
        views = max(1, round(len(angles) * factor))
        geometry = replace(physics.geometry, angles=even_angles(views, turn * len(angles), float(angles[0])))
        return CtPhysics(geometry, window=physics.window)
    if isinstance(physics, FourierPhysics):
        return FourierPhysics(_other_lines(physics.mask.reshape(-1, *physics.mask.shape[-2:])[0], factor, seed))
    raise ScanweaveError("physics", f"{type(physics).__name__} has no views", "Use CtPhysics or FourierPhysics")


def _other_lines(mask: torch.Tensor, factor: float, seed: int) -> torch.Tensor:
    if not (mask == mask[:1]).all():
        raise ScanweaveError("mask", "is not of whole columns", "Ask for more lines of a Cartesian mask only")
    width, rng = mask.shape[1], np.random.default_rng([seed, 7])
    sampled = np.flatnonzero(mask[0].numpy())
    wanted = min(width, max(1, round(len(sampled) * factor)))
    # One order for all factors: the lines of a smaller one are among those of a larger one.
    central = np.abs(np.arange(width) - width // 2) <= CENTRE * width / 2
    kept = rng.permutation(sampled)
    order = [*kept[central[kept]], *kept[~central[kept]], *rng.permutation(np.setdiff1d(np.arange(width), sampled))]
    other = torch.zeros_like(mask)
    other[:, [int(column) for column in order[:wanted]]] = 1
    return other
