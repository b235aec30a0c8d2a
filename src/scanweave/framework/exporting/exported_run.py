"""A network in a file in place of a run: it predicts studies without torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.framework.exporting.model_file import About, ModelFile
from scanweave.framework.predicting import Predicted, predicted_studies, wanted_targets
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study


@dataclass(frozen=True)
class FileAsRun:
    """Stand for a run where its exported file alone is at hand.

    Attributes:
        folder: The file.
        record: Its system.
    """

    folder: Path
    record: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """The file, which holds the weights."""
        return self.folder


class ExportedRun:
    """A network in a file that predicts studies; a system says `predict`.

    Args:
        file: The file.
        about: What it says of itself.

    Attributes:
        run: The file in the place of a run.
        plan: What it makes (`targets`) of what (`sources`).
        structures: Meaning of the numbers of each mask that it makes.
    """

    plan: Any
    structures: Mapping[str, Mapping[str, Sequence[int]]] = {}

    def __init__(self, file: ModelFile, about: About) -> None:
        self.file, self.about = file, about
        self.run = FileAsRun(file.path, {"system": about.system})

    @property
    def computes_on(self) -> str:
        """The processor, in words."""
        return "cpu, onnxruntime"

    def cautions(self) -> dict[str, str]:
        """Return what the run knew against a target."""
        return dict(self.about.cautions)

    def wanted(self, targets: Sequence[str] | None) -> list[str]:
        """Return the targets that are asked for, or all that the file makes.

        Raises:
            ScanweaveError: It does not make one of them.
        """
        return wanted_targets(targets, self.about.targets, self.about.targets)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Predict one study; see `System.predict`."""
        raise TypeError(f"{type(self).__name__} does not say 'predict'")

    def predictions(
        self,
        cohort: Cohort,
        targets: Sequence[str] | None = None,
        *,
        done: Collection[str] = (),
        say: Callable[[str], None] = print,
    ) -> Iterator[Predicted]:
        """Predict the studies of a cohort one by one; one that fails does not end the rest."""
        yield from predicted_studies(self.predict, cohort, targets, done)


def described(file: ModelFile) -> About:
    """Return what a file says of itself.

    Raises:
        ScanweaveError: Another program wrote it, or it holds the network alone.
    """
    if file.about is None:
        raise ScanweaveError(file.path, "was not written by scanweave", "Give a file of scanweave export")
    if not file.about.targets:
        reason = f"holds the network of {file.about.system} alone, without what turns a study into its input"
        raise ScanweaveError(file.path, reason, "Name the run in its place")
    return file.about
