"""`scanweave predict`: the missing, or the named, images of a cohort."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass
class Predict:
    """Write synthetic images of the sequences that studies lack, on the native grid; OUT is a cohort afterwards."""

    folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    cohort: Path
    """Folder of the cohort."""
    out: Path
    """Folder to make, or to go on in: OUT/STUDY/STUDY_TARGET_synthetic.nii.gz."""
    targets: str | None = None
    """Sequences to make from all others, such as "t1,flair"; those that each study lacks if not given."""
    part: Literal["train", "validation", "test"] | None = None
    """Which part of the run's fold; all studies if not given."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Predict; exit status 1 if a study could not be predicted."""
        from scanweave import api
        from scanweave.cli.main import REFUSED
        from scanweave.engine.parts import part_of
        from scanweave.engine.progress import counted
        from scanweave.studies.cohort import Cohort

        system = api.open_run(self.folder, self.device, "predict")
        cohort = Cohort.open(self.cohort)
        if self.part is not None:
            cohort = part_of(system.run, cohort, self.part)
        targets = None if self.targets is None else [name.strip() for name in self.targets.split(",")]
        with counted("studies predicted") as progress:
            done = api.predict(system, cohort, self.out, targets=targets, progress=progress)
        for reason in done.failed.values():
            print(f"error: {reason}", file=sys.stderr)
        complete = f" · nothing absent in {len(done.complete)} studies" if done.complete else ""
        failed = f" · {len(done.failed)} studies failed" if done.failed else ""
        where = f"wrote {done.made} synthetic images to {self.out}" if done.made else "nothing was written"
        hint = "" if done.made or done.failed else " · name what to make by --targets"
        print(f"{where}{complete}{failed}{hint}")
        return REFUSED if done.failed else 0


COMMAND = Predict
