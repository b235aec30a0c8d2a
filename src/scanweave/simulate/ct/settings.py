"""Settings of a simulated spectral CT cohort, apart from its seed."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scanweave.physics.ct.geometry import (
    CtGeometry,
    FanArcGeometry,
    FanFlatGeometry,
    ParallelGeometry,
    even_angles,
)
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.simulate.ct.bodies import BodySettings

_FANS = {"fan-flat": FanFlatGeometry, "fan-arc": FanArcGeometry}
_SOURCE, _DETECTOR = 3.0, 1.5
"""Distances of a fan's source and detector from the isocentre, in fields of view."""


class CtSettings(BaseModel):
    """Body, scan and detector. The defaults are a small-animal scanner: larger bodies starve the lowest bin."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(96, ge=16, le=1024, description="Pixels along each side of a slice.")
    field_of_view: float = Field(100.0, gt=0, description="Side of a slice [mm].")
    geometry: Literal["parallel", "fan-flat", "fan-arc"] = Field("fan-flat", description="How rays run.")
    views: int = Field(120, ge=1, description="Views, over 180° (parallel) or 360° (fans).")
    kvp: Literal[50, 80, 120] = Field(120, description="Tube voltage [kV].")
    thresholds: tuple[float, ...] = Field(
        (20.0, 34.0, 51.0, 65.0, 82.0),
        description="Lower threshold of each bin [keV]; the defaults part at the K-edges of iodine and gadolinium.",
    )
    photons: float = Field(3e4, gt=0, le=1e12, description="Photons of the open beam a reading, over all energies.")
    resolution: float = Field(4.0, ge=0, description="Full width at half maximum of the energy response [keV].")
    charge_sharing: float = Field(0.05, ge=0, le=1, description="Share of photons measured at too low an energy.")
    supersampling: int = Field(2, ge=1, le=8, description="Pixels of the simulated body along a side of a pixel.")
    rays: int = Field(2, ge=1, le=8, description="Rays through each detector element.")
    body: BodySettings = Field(default_factory=lambda: BodySettings.model_validate({}), description="What is drawn.")

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if not self.thresholds or any(a >= b for a, b in pairwise(self.thresholds)):
            raise ValueError("thresholds must ascend")
        if not self.thresholds[0] >= 0 or self.thresholds[-1] >= self.kvp:
            raise ValueError("thresholds must lie between 0 keV and the tube voltage")
        return self

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of the bins' images."""
        return tuple(f"bin{number}" for number in range(1, len(self.thresholds) + 1))

    @property
    def pixel(self) -> float:
        """Side of a pixel [mm]."""
        return self.field_of_view / self.size

    @property
    def detector(self) -> PhotonCounting:
        """The detector."""
        return PhotonCounting(self.thresholds, self.resolution, self.charge_sharing)

    def scan(self) -> CtGeometry:
        """Return the geometry that measures the slice, whose rays lie about a pixel apart."""
        shape = (self.size, self.size)
        if self.geometry == "parallel":
            return ParallelGeometry.covering(shape, self.pixel, even_angles(self.views, 180.0))
        return _FANS[self.geometry].covering(
            shape,
            self.pixel,
            even_angles(self.views, 360.0),
            source=_SOURCE * self.field_of_view,
            detector=_DETECTOR * self.field_of_view,
        )
