"""`scanweave audit`: try how far a fitted run can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, RunFolder


@dataclass
class AuditStability:
    """Try a reconstruction: worst-case perturbations, small structures, more data. A folder with one page to read."""

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    cohort: CohortFolder
    """Folder of a cohort with true images."""
    out: Path | None = None
    """Folder to make; RUN/audit if not given."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    images: int = 8
    """Images that are perturbed, at most."""
    radii: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05)
    """Sizes of perturbations, as shares of the norm."""
    iterations: int = 60
    """Steps of projected Adam in a restart."""
    restarts: int = 3
    """Starts from random points."""
    contrasts: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    """Contrasts of small structures, as shares of the range."""
    factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Amounts of data, in those of the run's own scan."""
    seed: int = 0
    """Of starts, noise and places."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Audit; exit status 1 if a check of the attacks does not hold."""
        from scanweave import api
        from scanweave.cli.main import REFUSED

        settings = {name: getattr(self, name) for name in ("images", "radii", "iterations", "restarts", "seed")}
        settings |= {"contrasts": self.contrasts, "factors": self.factors}
        done = api.audit_stability(
            self.folder, self.cohort, self.out, part=self.part, device=self.device, settings=settings
        )
        print(f"wrote {done.page}")
        return REFUSED if done.failed else 0


@dataclass
class AuditShortcuts:
    """Try what a classifier or detector of films looks at: markers and tubes pasted in and masked, and more."""

    folders: Annotated[
        Positional[tuple[RunFolder, ...]], arg(name="run", metavar="RUN …", help_behavior_hint="(required)")
    ]
    """Folders of one or more runs that tell findings; all are tried on the same films."""
    cohort: CohortFolder
    """Folder of a cohort of films with boxes of marks, and of findings where these are boxed."""
    out: Path | None = None
    """Folder to make; RUN/audit-shortcuts of the first run if not given."""
    marks: Annotated[tuple[str, ...], arg(metavar="NAME …", help_behavior_hint="")] = ()
    """Classes of boxes that are no finding; if not given, all that no run tells and that are no label."""
    findings: Annotated[tuple[str, ...], arg(metavar="NAME …", help_behavior_hint="")] = ()
    """Findings that are tried; if not given, all that the runs tell."""
    site: str | None = None
    """Variable of the site; if not given, site, where the cohort has it."""
    dose: Annotated[tuple[float, ...], arg(metavar="NUMBER …", help_behavior_hint="")] = ()
    """A number a run, such as the correlation of mark and finding that it was trained under."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    films: int = 64
    """Films with a mark, and films without it, that are tried, at most."""
    maps: int = 16
    """Films with a finding whose evidence is mapped, at most; 0: left out."""
    seed: int = 0
    """Of films, donors, places and resamples."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Audit, and say where the page is."""
        from scanweave import api

        names = ("marks", "findings", "films", "maps", "seed")
        settings = {name: getattr(self, name) for name in names} | {"doses": self.dose, "site": self.site or ""}
        done = api.audit_shortcuts(
            self.folders, self.cohort, self.out, part=self.part, device=self.device, settings=settings
        )
        print(f"wrote {done.page}")
        return 0


COMMANDS: dict[str, type] = {"stability": AuditStability, "shortcuts": AuditShortcuts}
