"""The record that a run keeps beside its weights: the question, the classes, whose rows the graphs are made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from scanweave.engine.saved_plan import SavedPlan
from scanweave.systems.adamedgraph.course_settings import CourseSettings
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
        conformal: A class belongs to a patient's set if its probability is at least this; None without validation.
        coverage: Share of patients whose set is to hold the truth.
        units: Units of variables, where they are known.
        suspects: Variables that may give the outcome away, and why.
    """

    format: int = 1
    label: str
    field: str | None
    features: tuple[str, ...]
    course: dict[str, Any] | None
    classes: tuple[str, ...]
    studies: tuple[str, ...]
    patients: tuple[str, ...]
    conformal: float | None
    coverage: float
    units: dict[str, str] = Field(default_factory=dict)
    suspects: dict[str, str] = Field(default_factory=dict)

    @property
    def question(self) -> Question:
        """The question in its own words."""
        course = None
        if self.course is not None:
            course = Course(
                CourseSettings(**self.course["settings"]), *(self.course[n] for n in ("low", "high", "controls"))
            )
        return Question(self.label, self.field, self.features, course)

    @property
    def targets(self) -> tuple[str, ...]:
        """The label."""
        return (self.label,)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it is predicted from."""
        return tuple(f"table:{name}" for name in self.features)


def told(course: Course | None) -> dict[str, Any] | None:
    """Return a rule as plain values."""
    return None if course is None else {**asdict(course), "settings": course.settings.model_dump(mode="json")}
