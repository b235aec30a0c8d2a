"""Scanners as plain values in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from deepinv.physics import LinearPhysics

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.fourier import FourierPhysics


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
    """Return channels of its images, where the scanner decides: 2 for complex ones."""
    return 2 if isinstance(physics, FourierPhysics) else None


def is_complex(physics: LinearPhysics) -> bool:
    """Tell whether the two channels of an image are its real and imaginary part."""
    return isinstance(physics, FourierPhysics)
