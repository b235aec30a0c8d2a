"""Every setting of simulated chest films."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FindingName = Literal["nodule", "effusion", "pneumothorax", "fracture", "cardiomegaly"]
MarkName = Literal["marker", "tube", "device"]
SiteName = Literal["A", "B"]

FINDINGS: tuple[FindingName, ...] = ("nodule", "effusion", "pneumothorax", "fracture", "cardiomegaly")
MARKS: tuple[MarkName, ...] = ("marker", "tube", "device")
INSERTED: tuple[FindingName, ...] = ("nodule",)
"""Findings that are put into real films: the others would need the true outline of the lungs."""
PREVALENCE = 0.3
"""Chance of a finding whose own is not given."""
SHORTCUTS: dict[MarkName, FindingName] = {"marker": "nodule", "tube": "effusion"}
LEAST_SIZE, MOST_SIZE = 64, 2048
"""Bounds of a film's side [pixel]: below, a rib is thinner than two pixels; above, memory and time have an end."""


class FilmSettings(BaseModel):
    """Settings of a simulated film, apart from its seed and index."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(256, ge=LEAST_SIZE, le=MOST_SIZE, description="Side of a film [pixel]; the longer one's of a real.")
    findings: tuple[FindingName, ...] = Field(
        FINDINGS, min_length=1, description="Findings that have a label; on real backgrounds the nodule alone."
    )
    prevalence: dict[FindingName, float] = Field(
        {}, description=f"Chance of each finding, independent of the others; {PREVALENCE} where it is not named."
    )
    conspicuity: float = Field(
        1.0,
        ge=0.25,
        le=3,
        description="Factor on what shows a finding: contrast of a nodule, height and density of an effusion, width of "
        "a pneumothorax, step of a fracture, size of a heart beyond half the thorax.",
    )
    shortcuts: dict[MarkName, FindingName] = Field(
        SHORTCUTS, description="Which mark goes with which finding; the others come with a chance of the site."
    )
    rho: float = Field(
        0.5, ge=0, le=1, description="Chance of a mark to agree with its finding, present or absent: 0.5 tells nothing."
    )
    sites: dict[SiteName, float] = Field(
        {"A": 1.0}, min_length=1, description="Share of each site: its noise, gain, gamma, blur and habit of marks."
    )
    annotated: float = Field(1.0, ge=0, le=1, description="Share of films that have boxes and masks beside labels.")
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every site; 0 for none.")
    backgrounds: Path | None = Field(
        None, description="Folder of real films, or a cohort of them, to put nodules and marks into; none: own anatomy."
    )

    @model_validator(mode="after")
    def _names_go_together(self) -> Self:
        if self.backgrounds is not None and "findings" in self.model_fields_set and self.findings != INSERTED:
            raise ValueError(f"findings on backgrounds are {', '.join(INSERTED)} alone")
        for name, share in self.prevalence.items():
            if not 0 <= share <= 1:
                raise ValueError(f"prevalence of {name} must be from 0 to 1")
            if name not in self.planted:
                raise ValueError(f"prevalence: {name} is none of the findings, {', '.join(self.planted)}")
        if "shortcuts" in self.model_fields_set:
            for mark, name in self.shortcuts.items():
                if name not in self.planted:
                    raise ValueError(f"shortcuts: {mark} goes with {name}, none of {', '.join(self.planted)}")
        if min(self.sites.values()) < 0 or abs(sum(self.sites.values()) - 1) > 1e-6:
            raise ValueError("sites must be shares from 0 that sum to 1")
        if "rho" in self.model_fields_set and not self.paired:
            raise ValueError("rho has no effect without shortcuts")
        return self

    @property
    def planted(self) -> tuple[FindingName, ...]:
        """The findings that have a label, in the order in which they are written."""
        return INSERTED if self.backgrounds is not None else tuple(name for name in FINDINGS if name in self.findings)

    @property
    def paired(self) -> dict[MarkName, FindingName]:
        """The marks that go with a finding that is planted."""
        return {mark: name for mark, name in self.shortcuts.items() if name in self.planted}

    def chance(self, finding: FindingName) -> float:
        """Return the prevalence of a finding."""
        return self.prevalence.get(finding, PREVALENCE)

    @property
    def record(self) -> dict[str, Any]:
        """All settings as plain values, those that follow from others as they are meant."""
        told = self.model_dump(mode="json", exclude={"backgrounds"})
        told |= {"findings": list(self.planted), "shortcuts": dict(self.paired)}
        return told | {"prevalence": {name: self.chance(name) for name in self.planted}}
