"""Every setting of simulated chest films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from scanweave.simulate.pairs import as_pairs

FindingName = Literal["nodule", "effusion", "pneumothorax", "fracture", "cardiomegaly"]
MarkName = Literal["marker", "tube", "device"]
SiteName = Literal["A", "B"]
Chance = Annotated[float, Field(ge=0, le=1)]

FINDINGS: tuple[FindingName, ...] = ("nodule", "effusion", "pneumothorax", "fracture", "cardiomegaly")
MARKS: tuple[MarkName, ...] = ("marker", "tube", "device")
INSERTED: tuple[FindingName, ...] = ("nodule",)
"""Findings that are put into real films: the others would need the true outline of the lungs."""
PREVALENCE = 0.3
"""Chance of a finding whose own is not given."""
SHORTCUTS: dict[MarkName, FindingName] = {"marker": "nodule", "tube": "effusion"}
"""Those unasked, as far as their findings are planted."""
LEAST_SIZE, MOST_SIZE = 128, 2048
"""Bounds of a film's side [pixel]: below, a small finding may cover no pixel; above, memory and time have an end."""


class FilmSettings(BaseModel):
    """Settings of a simulated film, apart from its seed and index.

    Dictionaries may also be given as words: `("nodule=0.5", "effusion=0.1")`; one number is the prevalence of all
    findings, a site alone that of all films, and `"none"` leaves all shortcuts out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(
        256, ge=LEAST_SIZE, le=MOST_SIZE, description="Side of a film [pixel]; on backgrounds the longer one."
    )
    backgrounds: Path | None = Field(
        None, description="Folder of real films, or a cohort of them, to put nodules and marks into; none: own anatomy."
    )
    findings: tuple[FindingName, ...] = Field(
        FINDINGS, min_length=1, description="Findings that have a label; on backgrounds the nodule alone."
    )
    prevalence: dict[FindingName, Chance] = Field(
        {},
        validate_default=True,
        description=f"Chance of each finding, independent of the others; {PREVALENCE} where it is not named.",
    )
    conspicuity: float = Field(
        1.0,
        ge=0.25,
        le=3,
        description="Factor on what shows a finding: contrast of a nodule, height and density of an effusion, width of "
        "a pneumothorax, step of a fracture, size of a heart beyond half the thorax.",
    )
    shortcuts: dict[MarkName, FindingName] = Field(
        SHORTCUTS,
        validate_default=True,
        description="Which mark goes with which finding; other marks come with a chance of the site.",
    )
    rho: float = Field(
        0.5, ge=0, le=1, description="Chance of a mark to agree with its finding, present or absent: 0.5 tells nothing."
    )
    sites: dict[SiteName, Chance] = Field(
        {"A": 1.0}, min_length=1, description="Share of each site: its noise, gain, gamma, blur and habit of marks."
    )
    annotated: float = Field(1.0, ge=0, le=1, description="Share of films that have boxes and masks beside labels.")
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every site; 0 for none.")

    @field_validator("prevalence", "shortcuts", "sites", mode="before")
    @classmethod
    def _words(cls, given: Any, info: ValidationInfo) -> Any:
        """Return words as pairs; one number is the prevalence of all findings, a site alone that of all films."""
        if info.field_name == "shortcuts" and given in ("none", ("none",), ["none"], (), []):
            return {}
        return as_pairs(given, _planted(info) if info.field_name == "prevalence" else None)

    @field_validator("findings")
    @classmethod
    def _findings_go_with_backgrounds(
        cls, names: tuple[FindingName, ...], info: ValidationInfo
    ) -> tuple[FindingName, ...]:
        if info.data.get("backgrounds") is not None and names != INSERTED:
            raise ValueError(f"on backgrounds they are {', '.join(INSERTED)} alone")
        return tuple(name for name in FINDINGS if name in names)

    @field_validator("prevalence")
    @classmethod
    def _prevalence_of_all(cls, given: dict[FindingName, float], info: ValidationInfo) -> dict[FindingName, float]:
        planted = _planted(info)
        stray = next((name for name in given if name not in planted), None)
        if stray is not None:
            raise ValueError(f"{stray} is none of the findings, {', '.join(planted)}")
        return {name: given.get(name, PREVALENCE) for name in planted}

    @field_validator("shortcuts")
    @classmethod
    def _shortcuts_to_findings(
        cls, given: dict[MarkName, FindingName], info: ValidationInfo
    ) -> dict[MarkName, FindingName]:
        planted = _planted(info)
        stray = next((name for name in given.values() if name not in planted), None)
        if stray is not None and given != SHORTCUTS:
            raise ValueError(f"{stray} is none of the findings, {', '.join(planted)}")
        return {mark: given[mark] for mark in MARKS if given.get(mark) in planted}

    @model_validator(mode="after")
    def _shares_sum(self) -> Self:
        if abs(sum(self.sites.values()) - 1) > 1e-6:
            raise ValueError("sites: shares must sum to 1")
        if "rho" in self.model_fields_set and not self.shortcuts:
            raise ValueError("rho has no effect without shortcuts")
        return self

    @property
    def planted(self) -> tuple[FindingName, ...]:
        """The findings that have a label, in the order in which they are written."""
        return tuple(self.prevalence)

    @property
    def record(self) -> dict[str, Any]:
        """All settings as plain values, but where the backgrounds lie: a folder may move."""
        return self.model_dump(mode="json", exclude={"backgrounds"}) | {"findings": list(self.planted)}


def _planted(info: ValidationInfo) -> tuple[FindingName, ...]:
    """Return the findings that have a label, by the fields that are validated already."""
    return INSERTED if info.data.get("backgrounds") is not None else info.data.get("findings", FINDINGS)
