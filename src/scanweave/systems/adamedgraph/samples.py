"""Patients of a cohort as a table and their classes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.framework.table_columns import Columns, is_numeric, known_categories, plain_column
from scanweave.studies.cohort import Cohort
from scanweave.studies.tables.schema import Schema, read_schema
from scanweave.systems.adamedgraph.config import AdaMedGraphConfig
from scanweave.systems.adamedgraph.intervals import Floats
from scanweave.systems.adamedgraph.patient_course import Course, changes, learn_course
from scanweave.wording import listed, nearest

if TYPE_CHECKING:  # loads torch, which the question of a run does without
    from scanweave.systems.adamedgraph.ensemble import Ensemble

COURSE = "course"
OUTSIDE_RANGE_FRACTION = 0.1
"""Share of the range of training values by which another may lie beyond it unsaid."""
WORDS = {"table": "variable"}
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows to learn from or to answer for.

    Attributes:
        table: Features, one row a study.
        studies: Their names.
        patients: Whose they are.
        labels: Their classes as text; None where not known.
    """

    table: pd.DataFrame
    studies: list[str]
    patients: list[str]
    labels: pd.Series

    def joined(self, other: Samples) -> Samples:
        """Return these, then others."""
        return Samples(
            pd.concat([self.table, other.table], ignore_index=True),
            self.studies + other.studies,
            self.patients + other.patients,
            pd.concat([self.labels, other.labels], ignore_index=True),
        )

    def known(self) -> Samples:
        """Return those whose class is known."""
        keep = self.labels.notna().to_numpy()
        return Samples(
            self.table[keep].reset_index(drop=True),
            [name for name, there in zip(self.studies, keep, strict=True) if there],
            [name for name, there in zip(self.patients, keep, strict=True) if there],
            self.labels[keep].reset_index(drop=True),
        )


@dataclass(frozen=True)
class Question:
    """A label and the variables that it is predicted from.

    Attributes:
        label: Name of the label; `course` for the rule.
        field: Column of the manifest that holds it; None for the rule.
        features: Names of the variables.
        course: The rule, if one is predicted.
    """

    label: str
    field: str | None
    features: tuple[str, ...]
    course: Course | None = None


def plain(cohort: Cohort, names: Sequence[str]) -> pd.DataFrame:
    """Return manifest columns as floats, dates and text with None.

    Raises:
        ScanweaveError: A column is absent.
    """
    absent = next((name for name in names if name not in cohort.frame), None)
    if absent is not None:
        kind, _, name = absent.partition(":")
        there = cohort.names("label" if kind == "label" else "table")
        raise ScanweaveError(cohort.folder, f"has no {WORDS.get(kind, kind)} '{name}'", nearest(name, there))
    return pd.DataFrame({name: plain_column(cohort.frame[name]) for name in names})


def ask(cohort: Cohort, training: Cohort, config: AdaMedGraphConfig, say: Say) -> Question:
    """Settle what is predicted, from which columns; whatever is learnt for it is learnt on the training part.

    Raises:
        ScanweaveError: No label, several, or an unknown column is named.
    """
    schema = read_schema(cohort.folder)
    course = _course(training, config, schema)
    field = None if course else _label(cohort, config)
    label = COURSE if course else str(field).partition(":")[2]
    features = _features(training, config, schema, field, say)
    if course is not None:
        say(f"label: the course of {course}")
    return Question(label, field, features, course)


def headed(names: Sequence[str], schema: Schema | None) -> list[str]:
    """Return names of columns in the cohort, of which some may be given by their heading in the table."""
    known = {column.source: column.name for column in schema.columns} if schema else {}
    return [known.get(name, name) for name in names]


def _label(cohort: Cohort, config: AdaMedGraphConfig) -> str:
    labels = cohort.names("label")
    if config.label:
        [name] = headed([config.label], read_schema(cohort.folder))
        found = next((f"{k}:{name}" for k in ("label", "table") if f"{k}:{name}" in cohort.frame), None)
        if found is None:
            near = nearest(config.label, [*labels, *cohort.names("table")])
            raise ScanweaveError("label", f"'{config.label}' is no label or variable of the cohort", near)
        return found
    if len(labels) != 1:
        named = listed(labels or cohort.names("table")) or "none"
        words = "has no label" if not labels else "has several labels"
        raise ScanweaveError(cohort.folder, words, f"Name one by --label: {named}")
    return f"label:{labels[0]}"


def _features(
    training: Cohort, config: AdaMedGraphConfig, schema: Schema | None, field: str | None, say: Say
) -> tuple[str, ...]:
    there = training.names("table")
    wanted, left_out = headed(config.columns, schema), headed(config.leave_out, schema)
    for name in (*wanted, *left_out):
        if f"table:{name}" not in training.frame:
            raise ScanweaveError("columns", f"'{name}' is no variable of the cohort", nearest(name, there))
    time = schema.time.name if schema and schema.time else None
    skipped = {*left_out, time, (field or "").removeprefix("table:")}
    left: dict[str, list[str]] = {"dates": [], "of one value": []}
    names = []
    for name in wanted or there:
        column = plain(training, [f"table:{name}"]).iloc[:, 0]
        if name in skipped:
            continue
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            left["dates"].append(name)
        elif column.nunique() < 2:
            left["of one value"].append(name)
        else:
            names.append(name)
    for reason, found in left.items():
        if found:
            say(f"columns left out, {reason}: {', '.join(found)}")
    if not names:
        raise ScanweaveError(training.folder, "no variable is left to learn from", "Name some by --columns")
    return tuple(names)


def _course(training: Cohort, config: AdaMedGraphConfig, schema: Schema | None) -> Course | None:
    if not config.course.of:
        return None
    found = _changes(training, config, schema)
    if found.empty:
        reason = f"no patient has {config.course.of} at two visits in the window"
        raise ScanweaveError("course", reason, "Widen the window")
    column, _, value = config.course.controls.partition("=")
    controls = pd.Series(True, index=found.index)
    if column:
        group = plain(training, [f"table:{column}"]).iloc[:, 0].map(class_name, na_action="ignore")
        owners = set(training.frame["patient"].astype(str)[group.to_numpy() == value])
        controls = found["patient"].isin(owners)
    return learn_course(found, controls, config.course)


def _changes(cohort: Cohort, config: AdaMedGraphConfig, schema: Schema | None) -> pd.DataFrame:
    if schema is None or schema.time is None:
        raise ScanweaveError("course", "no column tells when a visit was", "Import again with --columns 'HEADING=time'")
    value, time = f"table:{config.course.of}", str(schema.time.field)
    visits = plain(cohort, [value, time])
    if not is_numeric(visits[value]) and visits[value].notna().any():
        raise ScanweaveError("course.of", f"'{config.course.of}' holds no numbers", "Name a variable of numbers")
    visits[["study", "patient"]] = cohort.frame[["study", "patient"]].astype(str).to_numpy()
    return changes(visits, value, time, config.course)


def gather(cohort: Cohort, question: Question, config: AdaMedGraphConfig) -> Samples:
    """Return the patients of a cohort as rows; of several visits the first one, unless all are asked for.

    Variables that the cohort lacks count as missing.

    Raises:
        ScanweaveError: All variables of the question are absent.
    """
    there = [f"table:{name}" for name in question.features if f"table:{name}" in cohort.frame]
    if not there:
        reason = "has no variable of this run"
        raise ScanweaveError(cohort.folder, reason, f"Give some of {listed(question.features)}")
    table = plain(cohort, there).rename(columns=lambda field: field.partition(":")[2])
    table = table.reindex(columns=list(question.features))
    names = cohort.frame[["study", "patient"]].astype(str)
    labels = _labels(cohort, question, config)
    keep = pd.Series(True, index=table.index)
    if question.course is not None or config.visits == "first":
        keep = _first_visits(cohort, question.course.settings.of if question.course else None)
    return Samples(
        table[keep].reset_index(drop=True),
        names["study"][keep.to_numpy()].tolist(),
        names["patient"][keep.to_numpy()].tolist(),
        labels[keep].reset_index(drop=True),
    )


def differences(cohort: Cohort, samples: Samples, columns: Columns, units: Mapping[str, str]) -> list[str]:
    """Say what of a cohort's variables is not as in the training patients', in a line each.

    Args:
        cohort: Any cohort.
        samples: Its patients.
        columns: What the run learnt of the variables.
        units: The run's units of variables, where known.

    Raises:
        ScanweaveError: A variable has another unit, or holds text in place of numbers.
    """
    schema, lines = read_schema(cohort.folder), list[str]()
    found = {c.name: c.unit for c in schema.columns if c.unit and c.field} if schema else {}
    for name, known in zip(columns.names, columns.categories, strict=True):
        column, learnt, other = samples.table[name], units.get(name, ""), found.get(name, "")
        if learnt and other and other.casefold() != learnt.casefold():
            raise ScanweaveError(f"column '{name}'", f"is in {other}, the run learnt {learnt}", "Convert it")
        if f"table:{name}" not in cohort.frame:
            near = difflib.get_close_matches(name, set(cohort.names("table")).difference(columns.names), n=1)
            hint = f"; is it '{near[0]}'?" if near else ""
            lines.append(f"note: the cohort holds no '{name}', which counts as missing{hint}")
        elif known is not None:
            strange = sorted(set(known_categories(column)).difference(known))
            if strange:
                lines.append(f"note: {name} '{strange[0]}' is in no training patient and counts as missing")
        elif not is_numeric(column) and column.notna().any():
            example = column[column.map(lambda value: isinstance(value, str))].iloc[:1].tolist()
            reason = f"holds {f'text such as {example[0]!r}' if example else 'dates'} where the run learnt numbers"
            raise ScanweaveError(
                f"column '{name}'", reason, "Import the table with --like RUN: it then counts as missing"
            )
    return lines


def outside(matrix: Floats, ensemble: Ensemble) -> np.ndarray:
    """Tell which numbers `(n, d)` lie beyond those of the training patients by over a tenth of their range."""
    low, high = _range(ensemble)
    beyond = np.maximum(low - matrix, matrix - high) > OUTSIDE_RANGE_FRACTION * (high - low)
    numbers = np.array([categories is None for categories in ensemble.columns.categories], dtype=bool)
    found: np.ndarray = beyond & numbers
    return found


def strangers(matrix: Floats, beyond: np.ndarray, ensemble: Ensemble) -> list[str]:
    """Return a line for each variable of which `beyond` `(n, d)` names values."""
    low, high = _range(ensemble)
    lines = []
    for i, name in enumerate(ensemble.columns.names):
        values = matrix[beyond[:, i], i]
        if len(values):
            others = f" and {len(values) - 1} more" if len(values) > 1 else ""
            known = f"{low[i]:.4g} to {high[i]:.4g}"
            lines.append(f"caution: {name} {values[0]:.4g}{others}, where training patients had {known}: another unit?")
    return lines


def _range(ensemble: Ensemble) -> tuple[Floats, Floats]:
    known = ensemble.nodes.matrix
    there = ~np.isnan(known)
    return np.where(there, known, np.inf).min(0), np.where(there, known, -np.inf).max(0)


def _labels(cohort: Cohort, question: Question, config: AdaMedGraphConfig) -> pd.Series:
    if question.course is not None:
        schema = read_schema(cohort.folder)
        needed = {f"table:{question.course.settings.of}", str(schema.time.field) if schema and schema.time else ""}
        if not needed.issubset(cohort.frame.columns):
            return pd.Series([None] * len(cohort), dtype=object)
        found = _changes(cohort, config, schema)
        classes = dict(zip(found["study"], question.course.label(found["change"]), strict=True))
        return pd.Series([classes.get(str(study)) for study in cohort.frame["study"]], dtype=object)
    if question.field not in cohort.frame:
        return pd.Series([None] * len(cohort), dtype=object)
    values = plain(cohort, [str(question.field)]).iloc[:, 0]
    return values.map(class_name, na_action="ignore").astype(object).where(values.notna(), None)


def class_name(value: object) -> str:
    """Return a class as text: `1.0` is `1`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _first_visits(cohort: Cohort, of: str | None = None) -> pd.Series:
    """Tell whether each study is its patient's first, by time where it is known, else by place.

    Of a course, visits at which the value that it is `of` was measured come before all others.
    """
    schema = read_schema(cohort.folder)
    order = pd.DataFrame({"patient": cohort.frame["patient"].astype(str).to_numpy()})
    if schema is not None and schema.time is not None and schema.time.field in cohort.frame:
        order["time"] = plain(cohort, [str(schema.time.field)]).iloc[:, 0]
        valued = cohort.frame.get(f"table:{of}")
        order["absent"] = False if valued is None else valued.isna().to_numpy(bool)
        order = order.sort_values(["absent", "time"], kind="stable")
    return (~order["patient"].duplicated()).sort_index()
