"""Every setting of the simulated brain."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SequenceName = Literal["t1", "t1c", "t2", "flair", "pd", "t2r", "mix"]
Protocol = Literal["none", "random", "brats14"]

SEQUENCES: tuple[SequenceName, ...] = ("t1", "t1c", "t2", "flair", "pd", "t2r", "mix")
"""Every sequence that is simulated, in the order in which it is written."""
MAIN: tuple[SequenceName, ...] = ("t1", "t1c", "t2", "flair")
"""The four sequences of BraTS, to which the 14-pattern protocol applies."""
ACQUIRED: tuple[SequenceName, ...] = (*MAIN, "pd")
"""Sequences that a scanner acquires; the others are computed from them."""


class BrainSettings(BaseModel):
    """Settings of a simulated subject, apart from its seed and index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequences: tuple[SequenceName, ...] = Field(SEQUENCES, min_length=1, description="Sequences to write.")
    spacing: float = Field(2.0, ge=0.8, le=8.0, description="Edge of a voxel [mm]; the anatomy does not depend on it.")
    lesion_share: float = Field(0.8, ge=0, le=1, description="Share of subjects with a lesion.")
    second_lesion_share: float = Field(0.25, ge=0, le=1, description="Share of these with a second one.")
    enhancing_share: float = Field(0.85, ge=0, le=1, description="Share of lesions whose rim takes up contrast agent.")
    vessels: float = Field(1.0, ge=0, le=2, description="Enhancement of vessels, choroid plexus and meninges in t1c.")
    texture: float = Field(0.06, ge=0, le=0.2, description="Relative spread of T1 and T2 within a tissue.")
    bias: float = Field(0.08, ge=0, le=0.5, description="Relative spread of the receive field over the brain.")
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every sequence; 0 for none.")
    dce_frames: int = Field(0, ge=0, le=200, description="Time points of the 4D sequence `dce`; 0 leaves it out.")
    dce_interval: float = Field(10.0, gt=0, description="Time between two frames of `dce` [s].")
    protocol: Protocol = Field(
        "none",
        description="Which sequences are absent: none; each with the chance `missing`, one always kept (random); or, "
        "evenly spread, the 14 non-empty, non-full subsets of t1, t1c, t2, flair, all others kept (brats14).",
    )
    missing: float = Field(0.0, ge=0, le=1, description="Chance of a sequence to be absent, with protocol random.")
    scanners: bool = Field(
        False,
        description="Draw field strength, protocol, resolution, receive field, motion, noise, units, skull or none, "
        "and small lesions by subject and scan; bias is drawn, and noise is a factor on what is drawn.",
    )

    @field_validator("sequences")
    @classmethod
    def _in_order(cls, names: tuple[SequenceName, ...]) -> tuple[SequenceName, ...]:
        return tuple(name for name in SEQUENCES if name in names)

    @model_validator(mode="after")
    def _scanners_acquire(self) -> Self:
        if self.scanners and self.dce_frames:
            raise ValueError("dce_frames do not go with scanners: a series has one protocol")
        if self.scanners and not set(self.sequences) <= set(ACQUIRED):
            raise ValueError(f"scanners acquire {', '.join(ACQUIRED)} alone: name sequences of these")
        return self

    @property
    def record(self) -> dict[str, Any]:
        """All settings as plain values; `scanners` only where they are drawn, so that earlier cohorts stay the same."""
        return self.model_dump(mode="json", exclude=None if self.scanners else {"scanners"})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all scans of a complete subject, `dce` included where it is asked for."""
        return (*self.sequences, "dce") if self.dce_frames else self.sequences
