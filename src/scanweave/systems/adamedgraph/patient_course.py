"""Better, stable or worse: a patient's course from repeated visits, by a written rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.systems.adamedgraph.course_settings import CourseSettings

CLASSES = ("better", "stable", "worse")
LEAST_CONTROL_PATIENTS = 5
"""Control patients from whom a spread is learnt, at least."""


@dataclass(frozen=True)
class Course:
    """The rule, with its limits.

    Attributes:
        settings: What was asked for.
        low: A change below is a fall.
        high: A change above is a rise.
        controls: Patients that the limits were learnt from; 0 for limits that were given.
    """

    settings: CourseSettings
    low: float
    high: float
    controls: int = 0

    def label(self, change: pd.Series) -> pd.Series:
        """Return the class of each change; None where it is missing."""
        falls, rises = ("better", "worse") if self.settings.larger == "worse" else ("worse", "better")
        made = pd.Series("stable", index=change.index, dtype=object)
        made[change < self.low] = falls
        made[change > self.high] = rises
        return made.where(change.notna(), None)

    def __str__(self) -> str:
        by = f"from {self.controls} patients of the training part" if self.controls else "as given"
        what = "last / first" if self.settings.change == "ratio" else "last - first"
        return f"{self.settings.of}: stable where {what} is {self.low:.3g} to {self.high:.3g}, {by}"


def changes(visits: pd.DataFrame, value: str, time: str, settings: CourseSettings) -> pd.DataFrame:
    """Return the change of each patient from the first visit to the last one in the window.

    Args:
        visits: One row a visit; columns `study`, `patient`, and those named below.
        value: Column of the variable.
        time: Column of the time: numbers, or dates, which then are days.
        settings: Window and kind of change.

    Returns:
        One row a patient with two visits or more: `patient`, `study` (the first visit), `change`.

    Raises:
        ScanweaveError: No patient has a visit in the window.
    """
    table = visits[["study", "patient", value, time]].rename(columns={value: "value", time: "time"})
    if pd.api.types.is_datetime64_any_dtype(table["time"].dtype):
        table["time"] = (table["time"] - table["time"].min()).dt.total_seconds() / 86_400
    table = table.dropna(subset=["value", "time"]).sort_values(["patient", "time"], kind="stable")
    first = table.groupby("patient")[["time", "study", "value"]].first().add_suffix("_first")
    table = table.join(first, on="patient")
    since = table["time"] - table["time_first"]
    inside = (
        (since > 0) & (since >= settings.earliest) & (since <= (np.inf if settings.latest is None else settings.latest))
    )
    last = table[inside].groupby("patient").last()
    if settings.change == "ratio":
        change = last["value"].where(last["value"] > 0) / last["value_first"].where(last["value_first"] > 0)
    else:
        change = last["value"] - last["value_first"]
    return pd.DataFrame({"patient": last.index, "study": last["study_first"], "change": change}).reset_index(drop=True)


def learn_course(found: pd.DataFrame, controls: pd.Series, settings: CourseSettings) -> Course:
    """Learn the limits on training patients.

    Args:
        found: What `changes` returned, of training patients only.
        controls: Whether each of them is a control.
        settings: The rule; of ratios the logarithm's mean and spread count.

    Raises:
        ScanweaveError: Too few controls.
    """
    if settings.rule == "thresholds" and settings.low is not None and settings.high is not None:
        return Course(settings, settings.low, settings.high)
    known = found["change"][controls.to_numpy(dtype=bool)].dropna()
    if len(known) < LEAST_CONTROL_PATIENTS:
        raise ScanweaveError(
            "course.controls",
            f"{len(known)} control patients in the training part, fewer than {LEAST_CONTROL_PATIENTS}",
            "Name other controls, or give course.rule thresholds with course.low and course.high",
        )
    if settings.change == "ratio":  # doubling and halving are as far: the spread is that of the logarithm
        known = np.log(known)
    middle, spread = float(known.mean()), float(known.std(ddof=1)) * settings.spread
    low, high = middle - spread, middle + spread
    low, high = (float(np.exp(low)), float(np.exp(high))) if settings.change == "ratio" else (low, high)
    return Course(settings, low, high, len(known))
