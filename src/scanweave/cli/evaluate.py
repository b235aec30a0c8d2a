"""`scanweave evaluate`: measure predictions against what was acquired."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass
class Evaluate:
    """Measure predictions against what was acquired, with 95 % intervals over patients: CSV, JSON, figures."""

    folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    cohort: Path
    """Folder of the cohort."""
    out: Path | None = None
    """Folder to make; RUN/evaluation if not given."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    include_self: bool = False
    """Also reconstruct each sequence from itself."""
    lpips: tuple[Path, Path] | None = None
    """Weight files for LPIPS: AlexNet as torchvision gives it, and the linear layers of the lpips package."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Evaluate, and say where the tables are."""
        from scanweave import api
        from scanweave.studies.cohort import Cohort

        system = api.open_run(self.folder, self.device, "evaluate")
        given = {"include_self": self.include_self, "lpips": self.lpips}
        options = {name: value for name, value in given.items() if value}
        system.evaluate(Cohort.open(self.cohort), self.out, part=self.part, **options)
        print(f"wrote {self.out or self.folder / 'evaluation'} · next: scanweave report {self.folder}")
        return 0


COMMAND = Evaluate
