"""Requests: what somebody asks of a tumour. What is left open is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Shape = Literal["ellipsoid", "grown"]
Unit = Literal["hu", "percent"]

DIAMETERS: tuple[float, ...] = (12.0, 24.0, 48.0, 96.0)
"""Diameters of FreeTumor's classes tiny, small, medium and large [mm]: radii of 4 to 32 voxels of 1.5 mm."""
SPREAD = 0.25
"""A drawn diameter lies within this share of that of its class, as the half axes in FreeTumor do."""


class TumourRequest(BaseModel):
    """Hold a wish for a tumour."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    diameter_mm: float | None = Field(
        None, gt=0, le=300, description="Of the ball of the same volume [mm]; None: drawn from the classes that fit."
    )
    grows_to_mm: float | None = Field(
        None, gt=0, le=300, description="Largest diameter of a series: of one seed the smaller lie in the larger."
    )
    centre: tuple[int, int, int] | None = Field(
        None, description="Voxel (i, j, k) in the organ; None: drawn where the organ is wide enough."
    )
    shape: Shape = Field(
        "ellipsoid",
        description="ellipsoid: turned and warped. grown: spread through the organ at uneven speed.",
    )
    contrast: float | None = Field(
        None, ge=-2000, le=2000, description="Mean change inside, below 0 darker [HU, or %]; None: drawn."
    )
    edge_mm: float | None = Field(None, ge=0, le=20, description="Softness of the border [mm]; None: drawn.")
    necrosis: bool = Field(False, description="A darker core.")
    capsule: bool = Field(False, description="A brighter rim.")
    avoid_vessels: bool = Field(False, description="Leave vessels, what is much brighter than the organ, as they are.")
