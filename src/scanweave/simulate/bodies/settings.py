"""Every setting of simulated CT bodies."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from scanweave.simulate.pairs import as_pairs

FindingName = Literal[
    "cardiomegaly", "effusion", "consolidation", "nodule", "steatosis", "splenomegaly", "liver_lesion", "kidney_cyst"
]
SiteName = Literal["A", "B", "C"]
Chance = Annotated[float, Field(ge=0, le=1)]

FINDINGS: tuple[FindingName, ...] = (
    "cardiomegaly",
    "effusion",
    "consolidation",
    "nodule",
    "steatosis",
    "splenomegaly",
    "liver_lesion",
    "kidney_cyst",
)
"""In the order in which they are drawn: what another one depends on comes before it."""
PREVALENCE = 0.3
"""Chance of a finding whose own is not given."""


class BodiesSettings(BaseModel):
    """Settings of a simulated body, apart from its seed and index.

    Dictionaries may also be given as words, `("nodule=0.5", "effusion=0.1")`; one number is the prevalence of all
    findings, a site alone that of all bodies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spacing: float = Field(3.0, ge=1.0, le=8.0, description="Edge of a voxel [mm]; the body does not depend on it.")
    findings: tuple[FindingName, ...] = Field(FINDINGS, min_length=1, description="Findings that are planted.")
    prevalence: dict[FindingName, Chance] = Field(
        {}, validate_default=True, description=f"Chance of each finding; {PREVALENCE} where it is not named."
    )
    sites: dict[SiteName, Chance] = Field(
        {"A": 1.0}, min_length=1, description="Share of each site: its noise, sharpness, offset, use of contrast agent."
    )
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every site; 0 for none.")

    @field_validator("prevalence", "sites", mode="before")
    @classmethod
    def _words(cls, given: Any, info: ValidationInfo) -> Any:
        """Return words as pairs; one number is the prevalence of all findings, a site alone that of all bodies."""
        return as_pairs(given, {"prevalence": info.data.get("findings", FINDINGS)}.get(str(info.field_name)))

    @field_validator("findings")
    @classmethod
    def _in_order(cls, names: tuple[FindingName, ...]) -> tuple[FindingName, ...]:
        return tuple(name for name in FINDINGS if name in names)

    @field_validator("prevalence")
    @classmethod
    def _prevalence_of_all(cls, given: dict[FindingName, float], info: ValidationInfo) -> dict[FindingName, float]:
        planted = info.data.get("findings", FINDINGS)
        stray = next((name for name in given if name not in planted), None)
        if stray is not None:
            raise ValueError(f"{stray} is none of the findings, {', '.join(planted)}")
        return {name: given.get(name, PREVALENCE) for name in planted}

    @model_validator(mode="after")
    def _shares_sum(self) -> Self:
        if abs(sum(self.sites.values()) - 1) > 1e-6:
            raise ValueError("sites: shares must sum to 1")
        return self
