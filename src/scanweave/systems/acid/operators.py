"""Scanners as plain values in a run, and the same scanner with more or fewer views or lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from deepinv.physics import LinearPhysics

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import even_angles, geometry_from_dict
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.fourier import FourierPhysics

CENTRE = 0.08
"""Share of k-space lines around the zero frequency that stay when lines are taken away."""


def describe(physics: LinearPhysics) -> dict[str, Any]:
    """Return a scanner as plain values, for `open_physics`.

    Raises:
        ScanweaveError: It is of a kind that no file can hold; such a one is handed in from Python.
    """
    if isinstance(physics, CtPhysics):
        return {"kind": "ct", "geometry": physics.geometry.to_dict(), "window": physics.window}
    if isinstance(physics, FourierPhysics):
        rows = physics.mask.reshape(-1, *physics.mask.shape[-2:])[0].int().tolist()
        return {"kind": "fourier", "mask": ["".join(map(str, row)) for row in rows]}
    raise ScanweaveError("physics", f"{type(physics).__name__} has no file form", "Use CtPhysics or FourierPhysics")


def open_physics(values: Mapping[str, Any]) -> LinearPhysics:
    """Return the scanner that `describe` told.

    Raises:
        ScanweaveError: A value is missing or not usable.
    """
    try:
        if values["kind"] == "ct":
            return CtPhysics(geometry_from_dict(values["geometry"]), window=values["window"])
        if values["kind"] == "fourier":
            return FourierPhysics(torch.tensor([[float(sign) for sign in row] for row in values["mask"]]))
    except (KeyError, TypeError, ValueError) as error:
        raise ScanweaveError("physics", f"not a scanner ({error})", "Restore the run, or fit again") from error
    raise ScanweaveError("physics", f"unknown kind {values['kind']!r}", "Use one of: ct, fourier")


def channels_of(physics: LinearPhysics) -> int | None:
    """Channels of its images, where the scanner decides: 2 for complex ones."""
    return 2 if isinstance(physics, FourierPhysics) else None


def is_complex(physics: LinearPhysics) -> bool:
    """Whether the two channels of an image are its real and imaginary part."""
    return isinstance(physics, FourierPhysics)


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
