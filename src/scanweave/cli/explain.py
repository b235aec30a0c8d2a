"""`scanweave explain`: map what each sequence alone shows, or name similar patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass
class Explain:
    """Say why: what each sequence alone shows, as NIfTI maps; or which patients are similar, and by what."""

    folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    cohort: Path
    """Folder of the cohort."""
    out: Path | None = None
    """Folder to make; RUN/explanation if not given, RUN/explanation-named for named studies."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    studies: Annotated[tuple[str, ...], arg(metavar="STUDY …", help_behavior_hint="")] = ()
    """Studies or patients to explain in place of a part, such as P02 P05, each with a picture."""
    include_self: bool = False
    """Count a sequence as its own source, as the paper's code does."""
    pictures: int = 4
    """Studies to make pictures of; maps are written for all."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Explain, and say where the maps are.

        Raises:
            ScanweaveError: Studies and a part are named, or a study is unknown.
        """
        from scanweave import api
        from scanweave.errors import ScanweaveError
        from scanweave.studies.cohort import Cohort

        system = api.open_run(self.folder, self.device, "explain")
        cohort, part, pictures = Cohort.open(self.cohort), self.part, self.pictures
        if self.studies:
            if part is not None:
                raise ScanweaveError("--studies", "is in place of --part", "Leave one of them out")
            cohort, part = api.named_studies(cohort, self.studies), "all"
            pictures = len(cohort)
        out = self.out or self.folder / ("explanation-named" if self.studies else "explanation")
        system.explain(cohort, out, part=part, include_self=self.include_self, pictures=pictures)
        print(f"wrote {out} · next: scanweave report {self.folder}")
        return 0


COMMAND = Explain
