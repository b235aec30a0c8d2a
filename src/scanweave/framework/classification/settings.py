"""Settings that all systems have that tell classes or findings. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from scanweave.engine.settings import Name, Names, Settings
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
    sparing: Name = Field(
        "", description="Class or finding, such as malignant, whose biopsies would be spared below a threshold."
    )
    among: str = Field(
        "", description="VARIABLE=VALUE of the studies that had a biopsy, such as birads=4; not given: all."
    )
    by: Names = Field((), description="Variables of the table by whose values the AUROC is also measured.")
    readers: Path | None = Field(None, description="CSV of readers' answers: a column study, and one for each reader.")
    positive_from: float | None = Field(None, description="A reader's answer counts from here on; None: it is 0 or 1.")
    against: Path | None = Field(None, description="Another run, evaluated on the same studies, to compare with.")

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        found = {} if self.sparing else {"among": "without sparing"}
        return found | ({} if self.readers else {"positive_from": "without readers"})
