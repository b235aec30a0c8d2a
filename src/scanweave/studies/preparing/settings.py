"""Settings of the preparation. Imports nothing slow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Millimetres = Annotated[float, Field(ge=0.01, le=100)]


OWN_LEVELS = dict.fromkeys(
    ["preparation.headroom", "preparation.series_headroom"], "here: each image's own mean and deviation set its scale"
)
"""Settings without effect in systems that scale images to mean 0 and deviation 1, and why."""


class PreparationSettings(BaseModel):
    """A user's choices about preparation; the rest is learnt from the training studies."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    orientation: str = Field(
        "RAS",
        pattern="^[RLAPIS]{3}$",
        description="Axes that volumes are flipped and permuted to; slices are taken along the third.",
    )
    spacing: tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        None, description="Voxel size [mm] to resample to; None: the training studies' median where they differ."
    )
    grid: Literal["shared", "own"] = Field(
        "shared",
        description="Whether the scans of a study are brought to one grid, or each stays on its own, as films of "
        "different sizes always do.",
    )
    reference: str = Field(
        "finest", description="Scan on whose grid the others of a study are brought: a name, or the finest present."
    )
    percentile: float = Field(
        99.5, gt=50, le=100, description="Percentile of a magnitude image that sets its intensity scale [%]."
    )
    percentile_region: Literal["foreground", "volume"] = Field(
        "foreground", description="Where that percentile is taken: in the patient, or over all voxels."
    )
    window: tuple[float, float] | None = Field(
        None,
        description="Lowest and highest value shown of scans with values below 0, such as CT: -175 250 for the abdomen "
        "[HU]; None: the percentiles of the training studies.",
    )
    headroom: float = Field(1.25, ge=1, description="The scale times this maps to +1; brighter voxels are clipped.")
    series_headroom: float | None = Field(
        3.0,
        ge=1,
        description="The same, for all scans, where one is a series: after a contrast agent a lesion is far brighter "
        "than the rest, and clipped it has a flat curve; windows of signed maps are so many times as wide. None: as "
        "headroom.",
    )
    suv: tuple[str, ...] | None = Field(
        None,
        description="Scans that are PET in SUV, or none; not given: those called PET, if their JSON or file name says "
        "the unit.",
    )
    suv_high: float = Field(20.0, gt=0, description="SUV that is shown brightest; 0 is shown darkest, in every study.")
    crop: bool = Field(True, description="Crop volumes to the box of the foreground.")
    margin: int = Field(4, ge=0, description="Voxels kept around that box.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {} if self.crop else {"margin": "without preparation.crop"}
        found |= {"suv_high": "with preparation.suv none"} if self.suv == () else {}
        return found | ({"reference": "with preparation.grid own"} if self.grid == "own" else {})

    @field_validator("suv", mode="before")
    @classmethod
    def _apart(cls, names: object) -> object:
        """Names in one word, `pet,suv`, as a command line gives them; the word `none` for no name."""
        words = names.split(",") if isinstance(names, str) else names
        return [] if words == ["none"] else words

    @field_validator("window")
    @classmethod
    def _wide(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and window[1] <= window[0]:
            raise ValueError(f"the window from {window[0]:g} to {window[1]:g} is empty")
        return window

    @field_validator("orientation")
    @classmethod
    def _three_axes(cls, axes: str) -> str:
        if len({"RLAPIS".index(letter) // 2 for letter in axes}) < 3:
            raise ValueError("names an axis twice: give one of R/L, one of A/P, one of I/S")
        return axes
