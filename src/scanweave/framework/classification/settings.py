"""Settings that all systems have that tell classes or findings. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scanweave.engine.settings import Settings
from scanweave.framework.options import VerbOptions

Uncertain = Literal["ignore", "negative", "positive"]
"""Meaning of an uncertain finding (-1): U-Ignore, U-Zeroes or U-Ones of CheXpert."""


class LossSettings(Settings):
    """Settings of the loss."""

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class, or both sides of a finding, weigh the same in sum."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the truth that is spread over all classes.")


class EvaluateOptions(VerbOptions):
    """Options of `evaluate`."""

    seed: int = Field(0, ge=0, description="Seed of the resampling behind the intervals.")
    repeats: int = Field(500, ge=100, description="Resamples of patients.")
