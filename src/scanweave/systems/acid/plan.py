"""What a run knows of its scanner; saved as `plan.json`. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from scanweave.engine.settings import checked
from scanweave.files import read_json, write_json

SINOGRAM = "ct"
"""Name of the measurement in the studies."""


class AcidPlan(BaseModel):
    """The same for every study of a run.

    Attributes:
        physics: The scanner as plain values, see `operators.describe`.
        channels: Names of an image's channels: bins of CT, or the two parts of a complex image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    physics: dict[str, Any]
    channels: tuple[str, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The images that are made of a study."""
        return self.channels

    @property
    def sources(self) -> tuple[str, ...]:
        """The column of the manifest that they are made of."""
        return (f"sinogram:{SINOGRAM}",)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the plan of a run.

        Raises:
            ScanweaveError: It is absent or damaged.
        """
        content = read_json(path, "Restore the file or fit again")
        return checked(cls, content if isinstance(content, dict) else {}, path)

    def save(self, path: Path) -> None:
        """Write the plan."""
        write_json(path, self.model_dump(mode="json"))
