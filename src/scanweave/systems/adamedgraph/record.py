"""The record that a run keeps beside its weights: the question, the classes, whose rows the graphs are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.systems.adamedgraph.patient_course import Course
from scanweave.systems.adamedgraph.samples import Question

FILE = "question.json"
_ADVICE = "Restore the file, or fit again"


class Record(BaseModel):
    """`question.json`.

    Attributes:
        format: Version of the file.
        label: What is predicted.
        field: Column of the manifest that holds it; None for a course.
        features: Variables that are learnt from.
        course: The rule with its limits, if one is predicted.
        classes: Names of the classes, in the order of the probabilities.
        studies: The training patients' studies, in the order of the nodes.
        patients: Whose they are.
        validated: How many of these patients chose the rounds before the learners were fitted again on all; None: not
            known, of a run of an earlier version.
        conformal: A class belongs to a patient's set if its probability is at least this; None without validation.
        coverage: Share of patients whose set is to hold the truth.
        units: Units of variables, where they are known.
        suspects: Variables that may give the outcome away, and why.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: int = 1
    label: str
    field: str | None
    features: tuple[str, ...]
    course: Course | None
    classes: tuple[str, ...]
    studies: tuple[str, ...]
    patients: tuple[str, ...]
    validated: int | None = None
    conformal: float | None
    coverage: float
    units: dict[str, str] = {}
    suspects: dict[str, str] = {}

    @property
    def question(self) -> Question:
        """The question in its own words."""
        return Question(self.label, self.field, self.features, self.course)

    @property
    def targets(self) -> tuple[str, ...]:
        """The label."""
        return (self.label,)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it is predicted from."""
        return tuple(f"table:{name}" for name in self.features)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `question.json` of a run.

        Raises:
            ScanweaveError: It is absent or damaged.
        """
        try:
            return cls.model_validate(read_json(path, _ADVICE))
        except ValidationError as error:
            fault = error.errors()[0]
            raise ScanweaveError(path, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", _ADVICE) from None

    def save(self, folder: Path) -> None:
        """Write it into a run."""
        write_json(folder / FILE, self.model_dump(mode="json"))
