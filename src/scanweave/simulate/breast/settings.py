"""Every setting of the simulated breast."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import Phases

SequenceName = Literal["t1", "fst1", "t2", "dce", "fsdce", "washin", "washout", "dwi", "adc"]
Protocol = Literal["none", "random"]

SEQUENCES: tuple[SequenceName, ...] = ("t1", "fst1", "t2", "dce", "fsdce", "washin", "washout", "dwi")
"""The sequences of the Seq2Seq paper, in the order in which they are written: those that are simulated unasked."""
ADC: SequenceName = "adc"
"""A map of `dwi`, for networks that take no series; written if it is asked for."""
MOST_LESIONS = 3
LEAST_FIELD, MOST_FIELD = 32.0, 512.0
"""Bounds of what a scan covers [mm]: lesions need room, and memory has an end."""
LEAST_DIAMETER, MOST_DIAMETER = 2.0, 50.0
"""Bounds of the diameter of a lesion [mm]: larger ones do not fit into the breasts that are drawn."""
SHARES = frozenset({"lesion_share", "another_share"})
"""Settings of how many lesions there are, which nothing reads where every subject has one."""
LEAST_CROP = 16.0
"""Least edge of what is kept around a lesion [mm]: tissue beside it is what its signal is read by."""
MOST_WEIGHT = 5000.0
"""Largest diffusion weighting [s/mm²]: nothing but noise is left there."""


class BreastSettings(BaseModel):
    """Settings of a simulated subject, apart from its seed and index."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sequences: tuple[SequenceName, ...] = Field(SEQUENCES, min_length=1, description="Sequences to write.")
    spacing: float = Field(2.0, ge=0.8, le=8.0, description="Edge of a voxel [mm]; the anatomy does not depend on it.")
    field: tuple[float, float, float] = Field(
        (128.0, 96.0, 64.0),
        description="What a scan covers of each breast [mm]: left to right, back to front, feet to head.",
    )
    both: bool = Field(False, description="Both breasts in one scan, which is wider then; else one of either side.")
    lesion_share: float = Field(0.8, ge=0, le=1, description="Share of subjects with a lesion.")
    another_share: float = Field(0.25, ge=0, le=1, description="Share of these with another one, up to three in all.")
    diameters: tuple[float, float] = Field((7.0, 28.0), description="Least and largest diameter of a lesion [mm].")
    texture: float = Field(0.06, ge=0, le=0.2, description="Relative spread of T1, T2 and ADC within a tissue.")
    uptake: float = Field(0.25, ge=0, le=0.4, description="Relative spread of the enhancement within a tissue.")
    vessels: float = Field(1.0, ge=0, le=2, description="Factor on the share of vessels.")
    suppression: float = Field(0.06, ge=0, le=1, description="Share of the fat that fat suppression leaves, typically.")
    bias: float = Field(0.15, ge=0, le=0.5, description="Relative spread of the receive field.")
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every sequence; 0 for none.")
    dce_times: tuple[float, ...] = Field(
        (0.0, 60.0, 120.0, 180.0, 240.0, 300.0), description="Times of the frames of `dce` [s]."
    )
    fsdce_times: tuple[float, ...] = Field(
        (0.0, 75.0, 150.0, 225.0, 300.0), description="Times of the frames of `fsdce` [s]."
    )
    injection: float = Field(30.0, ge=0, description="When the contrast agent is injected [s].")
    b_values: tuple[float, ...] = Field((0.0, 50.0, 400.0, 800.0), description="Diffusion weighting [s/mm²].")
    protocol: Protocol = Field(
        "none", description="Which sequences are absent: none; or each with the chance `missing`, one always kept."
    )
    missing: float = Field(0.0, ge=0, le=1, description="Chance of a sequence to be absent, with protocol random.")
    outcomes: bool = Field(
        False,
        description="One lesion in every subject that shows planted factors of malignancy, subtype and response, "
        "variables of a table, and three sites; with protocol random a variable is absent with the chance `missing`.",
    )
    crop: float = Field(
        0.0, ge=0, description="Edge of the cube around the largest lesion that is kept of the field [mm]; 0 keeps all."
    )

    @field_validator("sequences")
    @classmethod
    def _in_order(cls, names: tuple[SequenceName, ...]) -> tuple[SequenceName, ...]:
        return tuple(name for name in (*SEQUENCES, ADC) if name in names)

    @field_validator("field")
    @classmethod
    def _field_holds_a_breast(cls, field: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(field) < LEAST_FIELD or max(field) > MOST_FIELD:
            raise ValueError(f"must be from {LEAST_FIELD:g} to {MOST_FIELD:g} mm along each axis")
        return field

    @field_validator("diameters")
    @classmethod
    def _diameters_ascend(cls, diameters: tuple[float, float]) -> tuple[float, float]:
        if not LEAST_DIAMETER <= diameters[0] <= diameters[1] <= MOST_DIAMETER:
            raise ValueError(f"must be from {LEAST_DIAMETER:g} to {MOST_DIAMETER:g} mm, the least one first")
        return diameters

    @field_validator("b_values")
    @classmethod
    def _weights_are_usual(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if not weights or min(weights) < 0 or max(weights) > MOST_WEIGHT:
            raise ValueError(f"must be from 0 to {MOST_WEIGHT:g} s/mm², one at least")
        return weights

    @model_validator(mode="after")
    def _times_tell_types(self) -> Self:
        for name in ("dce_times", "fsdce_times"):
            self.phases(name)
        return self

    @model_validator(mode="after")
    def _every_subject_has_what_is_shown(self) -> Self:
        drawn = SHARES & self.model_fields_set
        if self.outcomes and drawn:
            raise ValueError(f"{min(drawn)} has no effect with outcomes: every subject has one lesion")
        if self.crop and not LEAST_CROP <= self.crop <= min(self.field):
            raise ValueError(f"crop must be from {LEAST_CROP:g} mm to the least side of field, {min(self.field):g} mm")
        if self.crop and not self.outcomes and self.lesion_share < 1:
            raise ValueError("crop needs a lesion in every subject: ask for lesion_share 1 or outcomes")
        return self

    @model_validator(mode="after")
    def _weights_tell_diffusion(self) -> Self:
        if self.has_adc and len(set(self.b_values)) < 2:
            raise ValueError("b_values must be two different ones at least for adc")
        return self

    @property
    def has_adc(self) -> bool:
        """True if the map of `dwi` is asked for."""
        return ADC in self.sequences

    @property
    def record(self) -> dict[str, Any]:
        """All settings as plain values; those of outcomes only where asked for: earlier cohorts stay the same."""
        idle = {name for name in ("outcomes", "crop") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=idle | (SHARES if self.outcomes else set()))

    def phases(self, name: str) -> Phases:
        """Return which frames of `dce_times` or `fsdce_times` lie before the injection, and which are early.

        Raises:
            ScanweaveError: One of the phases has no frame.
        """
        try:
            return Phases.of(getattr(self, name), self.injection)
        except ScanweaveError as error:
            step = "Give one before the injection, one up to two minutes after it, and one later, in order"
            raise ScanweaveError(name, error.reason, step) from error
