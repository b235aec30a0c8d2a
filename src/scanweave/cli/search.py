"""`scanweave search`: studies found by words, or by their likeness to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, RunFolder


@dataclass
class Search:
    """Find the studies that are most like some words, or like a study, by a run that learnt from images and reports."""

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run, of mgca or mg3d."""
    cohort: CohortFolder
    """Folder of the cohort to search; it needs no reports."""
    out: Path
    """Folder to make, with a table and a page of pictures."""
    words: Annotated[Positional[str], arg(metavar='"WORDS"')] = ""
    """What to look for, in quotes, such as "right pleural effusion"."""
    like: str = ""
    """Name of a study of the cohort, in place of words."""
    most: int = 12
    """Studies to find."""
    part: Literal["train", "validation", "test"] | None = None
    """Which part of the run's fold; all studies if not given."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Search, and say where the page is."""
        from scanweave.framework.reported.search import PAGE
        from scanweave.searching import search

        asked = {name: getattr(self, name) for name in ("words", "like", "most", "part", "device")}
        search(self.folder, self.cohort, self.out, **asked)
        print(f"wrote {self.out / PAGE}")
        return 0


COMMAND = Search
