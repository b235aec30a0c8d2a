"""The folder that predictions are written to: a study at a time, whole or not at all; a stopped call goes on in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import scanweave
from scanweave.engine.inputs import image_states
from scanweave.engine.lock import FolderLock
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, make_folder, read_json, sweep, write_json, writing

if TYPE_CHECKING:
    from scanweave.engine.run import Run
    from scanweave.studies.cohort import Cohort
    from scanweave.studies.study import Study

MARK = "predictions.json"
_ASKED = {
    "weights": "by other weights",
    "cohort": "of another cohort, or of other studies of it,",
    "images": "of images that changed since",
    "targets": "of other targets",
}
_ELSEWHERE = "Choose another folder for the predictions"


class Plan(Protocol):
    """What a run makes of what."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the images that it can make."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it makes them of: `scan:t1`, `sinogram:ct`."""


class PredictionFolder:
    """`out/<study>/<study>_<target>_synthetic.nii.gz`, and at the end a cohort of them.

    Args:
        out: Where it is, or will be.
        run: What predicts.
        plan: What it makes of what.
    """

    def __init__(self, out: Path, run: Run, plan: Plan) -> None:
        self.out, self.run, self.plan = out, run, plan

    def request(self, cohort: Cohort, targets: Sequence[str] | None) -> dict[str, Any]:
        """What is asked for, in the terms of `predictions.json`; changes nothing.

        Raises:
            ScanweaveError: The folder holds something else.
        """
        there = [column for column in self.plan.sources if column in cohort.frame]
        asked = {
            "weights": self._weights,
            "cohort": cohort.digest,
            "images": hashlib.sha256(repr(image_states(cohort, there)).encode()).hexdigest(),
            "targets": None if targets is None else sorted(set(targets)),
        }
        if self.out.exists() and not self.out.is_dir():
            raise ScanweaveError(self.out, "is a file", _ELSEWHERE)
        if self.out.exists() and not _is_bare(self.out):
            self._compare(asked)
        return asked

    @contextmanager
    def claimed(self, asked: Mapping[str, Any]) -> Iterator[Self]:
        """Hold the folder for this process, for what `request` returned.

        Raises:
            ScanweaveError: Another process writes to it.
        """
        make_folder(self.out)
        lock = FolderLock(self.out)
        try:
            sweep(self.out)
            write_json(self.out / MARK, asked)
            yield self
        finally:
            lock.release()

    def _compare(self, asked: Mapping[str, Any]) -> None:
        if not (self.out / MARK).is_file():
            raise ScanweaveError(self.out, "holds other files and no predictions", _ELSEWHERE)
        before = read_json(self.out / MARK, _ELSEWHERE)
        for name, words in _ASKED.items():
            if not isinstance(before, dict) or before.get(name, "") != asked[name]:
                raise ScanweaveError(
                    self.out, f"a prediction {words} exists already", f"{_ELSEWHERE}, or remove this one"
                )

    def holds(self, study: str) -> bool:
        """Whether a study is predicted."""
        return (self.out / study).is_dir()

    def write(self, study: Study, made: Study) -> None:
        """Write the synthetic scans of a study, all or none."""
        from scanweave.studies.formats.image_writer import write_scan

        about = {"scanweave": scanweave.__version__, "system": self.run.record["system"]}
        about |= {"weights_sha256": self._weights[:12], "study": study.id}
        used = [column.removeprefix("scan:") for column in self.plan.sources if column in study.columns]
        with atomic_folder(self.out / study.id) as folder:
            for target, scan in made.scans.items():
                sources = [name for name in used if name != target]
                write_scan(folder / _file(study.id, target), scan, {**about, "target": target, "sources": sources})

    def finish(self, cohort: Cohort) -> int:
        """Make the folder a cohort, if it holds any prediction, and return the number of images."""
        from scanweave.studies.cohort import ABOUT
        from scanweave.studies.cohort import Cohort as CohortClass

        named = cohort.frame[["study", "patient"]].itertuples(index=False)
        rows = [self._row(str(study), str(patient)) for study, patient in named if self.holds(str(study))]
        if rows:
            with writing(self.out):
                (self.out / ABOUT).unlink(missing_ok=True)  # of an earlier call, in which studies failed
            name, source = f"{self.out.name} (synthetic)", str(self.run.folder.resolve())
            CohortClass.create(self.out, rows, root=".", name=name, source=source, layout="predictions")
        return sum(len(row) - 2 for row in rows)

    def _row(self, study: str, patient: str) -> Mapping[str, Any]:
        files = {f"scan:{target}": f"{study}/{_file(study, target)}" for target in self.plan.targets}
        present = {column: file for column, file in files.items() if (self.out / file).is_file()}
        return {"study": study, "patient": patient, **present}

    @cached_property
    def _weights(self) -> str:
        with self.run.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _is_bare(folder: Path) -> bool:
    """Whether no study is in it yet, so that another call may have it."""
    return all(path.name == MARK or path.name.startswith(".") for path in folder.iterdir())


def _file(study: str, target: str) -> str:
    return f"{study}_{target}_synthetic.nii.gz"
