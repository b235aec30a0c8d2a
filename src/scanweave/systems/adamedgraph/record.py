"""The record that a run keeps beside its weights: the question, the classes, whose rows the graphs are made of."""

from __future__ import annotations

from pydantic import Field

from scanweave.engine.saved_plan import SavedPlan
from scanweave.systems.adamedgraph.patient_course import Course
from scanweave.systems.adamedgraph.samples import Question

FILE = "question.json"


class Record(SavedPlan):
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
    units: dict[str, str] = Field(default_factory=dict)
    suspects: dict[str, str] = Field(default_factory=dict)

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
