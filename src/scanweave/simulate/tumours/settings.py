"""Every setting of simulated livers with tumours."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scanweave.simulate.bodies.settings import SiteName
from scanweave.simulate.pairs import as_pairs

Chance = Annotated[float, Field(ge=0, le=1)]


class TumoursSettings(BaseModel):
    """Settings of a simulated liver, apart from its seed and index."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spacing: float = Field(3.0, ge=1.0, le=8.0, description="Edge of a voxel [mm].")
    tumours: Chance = Field(0.7, description="Share of scans with tumours.")
    most: int = Field(3, ge=1, le=8, description="Most tumours of a scan.")
    diameter: tuple[float, float] = Field((8.0, 40.0), description="Least and largest diameter [mm].")
    contrast: tuple[float, float] = Field(
        (12.0, 45.0), description="How much darker than the liver a tumour is, least and most [HU]."
    )
    cysts: int = Field(2, ge=0, le=8, description="Most cysts of a liver: sharp, of water, and no tumours.")
    sites: dict[SiteName, Chance] = Field(
        {"A": 1.0},
        min_length=1,
        description="Share of each site of simulated bodies, A, B or C.",
    )
    noise: float = Field(1.0, ge=0, le=10, description="Factor on the noise of every site; 0 for none.")
    unlabelled: Chance = Field(
        0.0, description="Share of the scans without a tumour that have the mask of organs alone: nobody looked."
    )

    @field_validator("sites", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        return as_pairs(given, None)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name, (low, high) in (("diameter", self.diameter), ("contrast", self.contrast)):
            if not 0 < low <= high:
                raise ValueError(f"{name}: give two numbers above 0, the smaller first")
        if self.diameter[1] > 80:
            raise ValueError("diameter: at most 80 mm, as wide as the liver is thick")
        if abs(sum(self.sites.values()) - 1) > 1e-6:
            raise ValueError("sites: shares must sum to 1")
        return self
