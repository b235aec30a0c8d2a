"""Knowledge that a run has of its data, as `plan.json` in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from scanweave.engine.settings import checked
from scanweave.files import read_json, write_json

EMBEDDING = "embedding"
"""Target by which a system is asked for what its network makes of a study, where it offers that."""


class SavedPlan(BaseModel):
    """A plan that is learnt once and the same for every study of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
