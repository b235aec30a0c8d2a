"""Settings of how a patient's course becomes a label, without pandas."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CourseSettings(BaseModel):
    """A rule that turns the change of one variable between two visits into better, stable or worse.

    The change is that from a patient's first visit to the last one within the window. With `rule="controls"` a change
    is stable within mean ± `spread` standard deviations of the changes of control patients *of the training part*;
    with `rule="thresholds"` between `low` and `high`, a clinical difference that is known beforehand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    of: str = Field("", description="Variable whose course is predicted; none: a label of the cohort is.")
    earliest: float = Field(
        0.0, description="Start of the window after the first visit, in the unit of the time; of dates: days."
    )
    latest: float | None = Field(None, description="End of that window; none: open.")
    larger: Literal["worse", "better"] = Field("worse", description="What a larger value means.")
    change: Literal["difference", "ratio"] = Field(
        "difference", description="Last minus first, or last over first; both above 0 then."
    )
    rule: Literal["controls", "thresholds"] = Field("controls", description="Where the limits come from.")
    controls: str = Field(
        "", description='Who the controls are, as "column=value"; none: all patients of the training part.'
    )
    spread: float = Field(1.0, gt=0, description="Standard deviations of the controls' change that still are stable.")
    low: float | None = Field(None, description="Changes below are a fall, with rule thresholds.")
    high: float | None = Field(None, description="Changes above are a rise, with rule thresholds.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if not self.of:
            return {name: "without course.of" for name in type(self).model_fields if name != "of"}
        idle = ["low", "high"] if self.rule == "controls" else ["controls", "spread"]
        return dict.fromkeys(idle, f"with course.rule {self.rule}")

    @model_validator(mode="after")
    def _limits_are_there(self) -> Self:
        if self.rule == "thresholds" and (self.low is None or self.high is None or self.low > self.high):
            raise ValueError("rule thresholds needs low and high, low not above high")
        if self.latest is not None and self.latest < self.earliest:
            raise ValueError("latest lies before earliest")
        return self
