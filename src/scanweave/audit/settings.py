"""Settings of an audit of stability. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AuditSettings(BaseModel):
    """The amount that is tried; time grows with images × radii × iterations × restarts × methods."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    images: int = Field(8, ge=1, description="Images that are perturbed, at most.")
    radii: tuple[float, ...] = Field(
        (0.005, 0.01, 0.02, 0.05), min_length=1, description="Sizes of perturbations, as shares of the norm."
    )
    domains: tuple[str, ...] = Field(("measurement", "image"), description="Where perturbations live.")
    iterations: int = Field(60, ge=0, description="Steps of projected Adam in a restart.")
    warm_up: int = Field(5, ge=0, description="Power iterations before them.")
    restarts: int = Field(3, ge=1, description="Starts from random points.")
    batch: int = Field(8, ge=1, description="Images that are attacked at once; memory grows with it.")
    contrasts: tuple[float, ...] = Field(
        (0.02, 0.05, 0.1, 0.2), description="Contrasts of small structures, as shares of the range; none: left out."
    )
    factors: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0, 4.0), description="Amounts of data, in those of the run's own scan; none: left out."
    )
    seed: int = Field(0, ge=0, description="Of starts, noise and places.")
