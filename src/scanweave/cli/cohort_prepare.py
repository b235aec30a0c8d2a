"""`scanweave cohort prepare` and `restore`: scans brought together, and what was made of them brought back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder


@dataclass
class PrepareCohort:
    """Register the scans of each study, find the brain, take out the bias field: into a new cohort.

    Your files are only read. Look at pictures/ afterwards. The same command goes on where an earlier one was stopped.
    """

    cohort: Positional[CohortFolder]
    """Folder of the cohort."""
    out: Path
    """Folder of the new cohort."""
    register: bool = False
    """Bring the scans of a study to the place of its reference: a rigid motion, by mutual information."""
    across_visits: bool = False
    """Bring later studies of a patient to the place of the first one in the manifest."""
    brain_mask: bool = False
    """Find the brain in the reference, as mask "brain"."""
    strip: bool = False
    """Set what lies outside of the brain mask to 0."""
    bias: bool = False
    """Take out the bias field of MR scans by N4."""
    reference: str | None = None
    """Scan that the others are brought to; the finest T1 if not given, or where a study lacks it."""
    grid: Literal["reference", "own"] = "reference"
    """Grid of what is written: that of the reference, or each scan's own, moved by its header alone."""
    studies: Annotated[tuple[str, ...], arg(metavar="STUDY …", help_behavior_hint="")] = ()
    """Studies or patients to prepare; all if not given."""
    spacing: Annotated[float | None, arg(help_behavior_hint="(default: 1.5)")] = None
    """Edge of a voxel of the finest grid that the registration looks at [mm]; larger is faster."""
    seed: Annotated[int | None, arg(help_behavior_hint="(default: 0)")] = None
    """What the samples of the metric are drawn from."""
    workers: int = 1
    """Studies that are prepared at once, each in a process."""

    def run(self) -> int:
        """Prepare; exit status 1 if a study failed."""
        from scanweave import wording
        from scanweave.engine.progress import counted
        from scanweave.studies.preparing.cohort_preparation import prepare_cohort

        registration = {"spacing_mm": self.spacing, "seed": self.seed}
        with counted("studies prepared") as progress:
            done = prepare_cohort(
                self.cohort,
                self.out,
                studies=self.studies or None,
                workers=self.workers,
                progress=progress,
                register_scans=self.register,
                across_visits=self.across_visits,
                brain_mask=self.brain_mask,
                strip=self.strip,
                bias=self.bias,
                reference=self.reference,
                grid=self.grid,
                registration={name: value for name, value in registration.items() if value is not None},
            )
        failed = f", {len(done.failed)} failed" if done.failed else ""
        print(f"wrote {self.out}: {wording.studies(len(done.made))}{failed} · look at {self.out / 'pictures'}")
        return int(bool(done.failed))


@dataclass
class RestoreCohort:
    """Bring predictions on a prepared cohort back to the place and grid of the scans as they came."""

    predictions: Positional[CohortFolder]
    """Folder of the predictions, a cohort."""
    prepared: CohortFolder
    """Folder of the prepared cohort that they were made on."""
    out: Path
    """Folder of the new cohort."""
    like: str | None = None
    """Native scan on whose grid all is written; if not given, that of the same name, else the reference."""

    def run(self) -> int:
        """Restore."""
        from scanweave import wording
        from scanweave.engine.progress import counted
        from scanweave.studies.preparing.restoration import restore_cohort

        with counted("studies restored") as progress:
            cohort = restore_cohort(self.predictions, self.prepared, self.out, like=self.like, progress=progress)
        print(f"wrote {self.out}: {wording.studies(len(cohort))} on the grids that they came on")
        return 0
