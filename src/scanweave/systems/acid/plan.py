"""A run's knowledge of its scanner; saved as `plan.json`. Imports no torch."""

from __future__ import annotations

from typing import Any

from scanweave.engine.saved_plan import SavedPlan

SINOGRAM = "ct"
"""Name of the measurement in the studies."""


class AcidPlan(SavedPlan):
    """The same for every study of a run.

    Attributes:
        physics: The scanner as plain values, see `operators.describe`.
        channels: Names of an image's channels: bins of CT, or the two parts of a complex image.
        thresholds: Lower threshold of each bin [keV]; empty with a single energy window, or where no cohort told them.
    """

    physics: dict[str, Any]
    channels: tuple[str, ...]
    thresholds: tuple[float, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The images that are made of a study."""
        return self.channels

    @property
    def sources(self) -> tuple[str, ...]:
        """The column of the manifest that they are made of."""
        return (f"sinogram:{SINOGRAM}",)
