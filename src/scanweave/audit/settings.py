"""Settings of the audits. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from scanweave.engine.settings import Names


class AuditSettings(BaseModel):
    """The amount that an audit of stability tries; time grows with images × radii × iterations × restarts × methods."""

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


class ShortcutSettings(BaseModel):
    """Set the questions and the size of an audit of shortcuts; time grows with films × marks, and with maps."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    marks: Names = Field((), description="Classes of boxes that are no finding; none: all that no run tells.")
    findings: Names = Field((), description="Findings that are tried; none: all that the runs tell.")
    site: str = Field("", description="Variable of the site; empty: `site`, where the cohort has it.")
    doses: tuple[float, ...] = Field((), description="A number a run, such as the correlation it was trained under.")
    films: int = Field(64, ge=2, description="Films with a mark, and films without it, that are tried, at most.")
    maps: int = Field(16, ge=0, description="Films with a finding whose evidence is mapped, at most; 0: left out.")
    seed: int = Field(0, ge=0, description="Of films, donors, places and resamples.")
