"""Setup of an audit: images, their measurements, methods, and a way to measure anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError

Reconstruct = Callable[[Tensor], Tensor]
"""Measurement `(B, …)` → image `(B, C, H, W)`, differentiable, nothing detached."""
Measure = Callable[[Tensor, Generator], Tensor]
"""True image → measurement with noise drawn from the generator."""


@dataclass(frozen=True, eq=False)
class Setup:
    """A scanner, what reconstructs from it, and images whose truth is known.

    Attributes:
        truth: The images `(B, C, H, W)`.
        measurement: What was measured of each, `(B, …)`.
        methods: By name; each is attacked by itself and tried on the others' perturbations.
        forward: A, linear and differentiable: for perturbations of the image.
        measure: Measures an image anew.
        patients: Whom each image belongs to.
        data_range: Span of possible values, for the PSNR.
        more: From a factor of the data (2 for twice the views) to methods and `measure` of that scan; absent where
            there is no such thing.
        about: What the report says of all this, as plain values.
    """

    truth: Tensor
    measurement: Tensor
    methods: Mapping[str, Reconstruct]
    forward: Reconstruct
    measure: Measure
    patients: tuple[str, ...]
    data_range: float
    more: Callable[[float], tuple[Mapping[str, Reconstruct], Measure]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.methods:
            raise ScanweaveError("audit", "there is no method to try", "Give at least one")
        counts = {len(self.truth), len(self.measurement), len(self.patients)}
        if len(counts) > 1 or counts == {0}:
            reason = f"{len(self.truth)} images, {len(self.measurement)} measurements, {len(self.patients)} patients"
            raise ScanweaveError("audit", reason, "Give one of each for every image")
        if not (torch.isfinite(self.truth).all() and torch.isfinite(self.measurement).all()):
            raise ScanweaveError("audit", "an image or measurement holds NaN or infinity", "Leave those cases out")

    def part(self, start: int, stop: int) -> Setup:
        """Return the same setup for some of the images."""
        cut = slice(start, stop)
        return Setup(
            self.truth[cut],
            self.measurement[cut],
            self.methods,
            self.forward,
            self.measure,
            self.patients[cut],
            self.data_range,
            self.more,
            self.about,
        )
