"""`scanweave predict`: the missing, or the named, images of a cohort."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from scanweave.cli.dicom_objects import check_objects, say_objects
from scanweave.cli.parsing import CohortFolder, RunOrModel
from scanweave.errors import ScanweaveError

if TYPE_CHECKING:
    from scanweave.api import Predictions

NAMES = {
    "scan": "synthetic image",
    "mask": "mask",
    "label": "label",
    "boxes": "file of boxes",
    "embedding": "embedding",
    "report": "report",
}
MANY = {"boxes": "files of boxes"}
"""Of which the plural is not one with an s."""
"""Names of the kinds of predictions, for the last line."""


@dataclass
class Predict:
    """Write what the run makes: synthetic images, masks, boxes, labels. OUT is a cohort of them."""

    folder: Annotated[Positional[RunOrModel], arg(name="run", metavar="RUN")]
    """Folder of the run, a model that ships (builtin:brain), or a file of scanweave export, which needs no torch."""
    out: Path
    """Folder to make, or to go on in: a cohort, with a folder for each study."""
    cohort: CohortFolder | None = None
    """Folder of the cohort."""
    source: Annotated[Path | None, arg(name="in", metavar="FOLDER")] = None
    """Folder of images in place of a cohort, in any layout that cohort import knows, or in DICOM."""
    targets: Annotated[tuple[str, ...], arg(metavar="TARGET …", help_behavior_hint="")] = ()
    """What to make, such as t1 flair, a mask, a label, boxes or embedding; if not given, what the study lacks, or all
    that the run makes."""
    studies: Annotated[tuple[str, ...], arg(metavar="STUDY …", help_behavior_hint="")] = ()
    """Studies or patients to predict, such as P02 P05; all if not given."""
    part: Literal["train", "validation", "test"] | None = None
    """Which part of the run's fold; all studies if not given."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""
    checkpoint: Literal["newest", "best"] | None = None
    """Of a fit that was stopped or goes on: its newest weights, or the best of its validations."""
    dicom: Path | None = None
    """Write DICOM objects too, of studies that come from DICOM: their private file, such as COHORT.identities.json; of
    --in the one to make."""

    def run(self) -> int:
        """Predict; exit status 1 if a study could not be predicted."""
        from scanweave import wording
        from scanweave.cli.main import REFUSED
        from scanweave.engine.progress import counted

        if self.dicom is not None:
            check_objects(self.dicom, there=self.cohort is not None)
        named = re.split(r"[,\s]+", " ".join(self.targets).strip(", "))  # commas serve as well as blanks
        with counted("studies done") as progress:
            done = self._predicted(
                targets=named if self.targets else None,
                studies=self.studies or None,
                device=self.device,
                checkpoint=self.checkpoint,
                progress=progress,
                say=lambda line: print(line, file=sys.stderr),
                note=print,
            )
        if done.kept or done.again:
            print(f"of an earlier call: {wording.studies(len(done.kept))} kept, {len(done.again)} written again")
        complete = f" · nothing absent in {wording.studies(len(done.complete))}" if done.complete else ""
        failed = f" · {wording.studies(len(done.failed))} failed" if done.failed else ""
        made = [
            wording.count(number, NAMES[kind], MANY.get(kind)) for kind, number in done.made.items() if kind in NAMES
        ]
        where = f"wrote {' and '.join(made)} to {self.out}" if made else "wrote nothing"
        doubt = f" · caution about {', '.join(done.cautions)}, see above" if done.cautions else ""
        hint = "" if done.made or done.failed else " · name what to make by --targets"
        print(f"{where}{complete}{failed}{doubt}{hint}")
        if self.dicom is not None and made:
            say_objects(self.out, self.dicom)
        return REFUSED if done.failed else 0

    def _predicted(self, **options: Any) -> Predictions:
        """Predict the cohort, or the folder of images.

        Raises:
            ScanweaveError: Not exactly one of them is named, or a part of a folder is.
        """
        from scanweave import api

        if self.cohort is not None and self.source is not None:
            raise ScanweaveError("--in", "is in place of --cohort", "Leave one of them out")
        if self.source is not None:
            if self.part is not None:
                raise ScanweaveError("--part", "has no effect: a folder of images is not split", "Leave it out")
            return api.predict_folder(self.folder, self.source, self.out, identities=self.dicom, **options)
        if self.cohort is None:
            raise ScanweaveError("predict", "no studies are named", "Add --cohort COHORT, or --in FOLDER of images")
        return api.predict(self.folder, self.cohort, self.out, part=self.part, **options)


COMMAND = Predict
