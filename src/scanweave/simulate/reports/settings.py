"""Every setting of simulated reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scanweave.simulate.pairs import as_pairs

InstitutionName = Literal["A", "B", "C"]
Chance = Annotated[float, Field(ge=0, le=1)]


class ReportSettings(BaseModel):
    """Settings of a simulated report, apart from its seed and study.

    Institutions may also be given as words: `("A=0.7", "B=0.3")`, or one alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    institutions: dict[InstitutionName, Chance] = Field(
        {"A": 1.0}, min_length=1, description="Share of each institution: its style, its habits, its headings."
    )
    wording: Literal["seen", "unseen"] = Field(
        "seen", description="unseen: other paraphrases of every finding, none of which `seen` has: to test on."
    )
    omitted: float = Field(0.3, ge=0, le=1, description="Share of absent findings that are not spoken of.")
    missed: float = Field(0.07, ge=0, le=1, description="Share of present findings that are not spoken of.")
    asides: float = Field(1.5, ge=0, le=5, description="Sentences on other things, on average.")

    @field_validator("institutions", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        return as_pairs(given)

    @model_validator(mode="after")
    def _shares_sum(self) -> Self:
        if abs(sum(self.institutions.values()) - 1) > 1e-6:
            raise ValueError("institutions: shares must sum to 1")
        return self
