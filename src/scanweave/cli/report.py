"""`scanweave report`: one HTML page of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import RunFolder


@dataclass
class Report:
    """Write one self-contained HTML page of a run: cohort, learning curve, pictures, numbers, and how to cite."""

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    out: Path | None = None
    """File to write; RUN/report.html if not given."""
    results: Annotated[tuple[Path, ...], arg(metavar="FOLDER …", help_behavior_hint="")] = ()
    """Folders with results to show in place of the newest in the run, such as those of evaluate --out."""
    checkpoint: Literal["newest", "best"] | None = None
    """Of a fit that was stopped or goes on: its newest weights, or the best of its validations."""

    def run(self) -> int:
        """Write the page, and say where it is."""
        from scanweave import api

        system = api.open_run(self.folder, verb="report", checkpoint=self.checkpoint)
        print(f"wrote {system.report(self.out, results=self.results)}")
        return 0


COMMAND = Report
