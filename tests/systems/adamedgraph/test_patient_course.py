"""Better, stable, worse: which visits count, and what the limits are learnt from."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from scanweave.errors import ScanweaveError
from scanweave.systems.adamedgraph.course_settings import CourseSettings
from scanweave.systems.adamedgraph.patient_course import Course, changes, learn_course
from scanweave.systems.adamedgraph.record import FILE, Record


def visits(times=(0.0, 1.0, 2.0, 3.0), values=(5.0, 6.0, 8.0, 20.0), patient="a"):
    names = [f"{patient}{number}" for number in range(len(times))]
    return pd.DataFrame({"study": names, "patient": patient, "when": times, "bili": values}).iloc[::-1]


def test_last_visit_in_the_window_counts():
    settings = CourseSettings(of="bili", earliest=0.5, latest=2.5)
    found = changes(visits(), "bili", "when", settings).iloc[0]
    assert (found["study"], found["change"]) == ("a0", 3.0)
    ratio = changes(visits(), "bili", "when", settings.model_copy(update={"change": "ratio"}))
    assert ratio["change"].tolist() == [1.6]


def test_visits_without_the_value_do_not_count():
    settings = CourseSettings(of="bili")
    found = changes(visits(values=(np.nan, 6.0, 8.0, np.nan)), "bili", "when", settings).iloc[0]
    assert (found["study"], found["change"]) == ("a1", 2.0)


def test_dates_are_days():
    days = tuple(pd.Timestamp("2020-01-01") + pd.Timedelta(n, "D") for n in (0, 30, 200, 400))
    found = changes(visits(days), "bili", "when", CourseSettings(of="bili", earliest=100, latest=300))
    assert found["change"].tolist() == [3.0]


def test_patient_of_one_visit_has_no_course():
    table = pd.concat([visits(), visits((0.0,), (3.0,), "b")])
    assert changes(table, "bili", "when", CourseSettings(of="bili"))["patient"].tolist() == ["a"]


def test_larger_may_mean_better():
    settings = CourseSettings(of="moca", larger="better", rule="thresholds", low=-1, high=1)
    rule = learn_course(pd.DataFrame({"change": [0.0]}), pd.Series([True]), settings)
    assert rule.label(pd.Series([-2.0, 0.0, 2.0])).tolist() == ["worse", "stable", "better"]


def test_limits_are_of_the_controls_alone():
    change = pd.DataFrame({"change": [1.0, 2.0, 3.0, 4.0, 5.0, 900.0]})
    rule = learn_course(change, change["change"] < 100, CourseSettings(of="x", spread=2.0))
    assert (rule.low, rule.high) == pytest.approx((3 - 2 * np.sqrt(2.5), 3 + 2 * np.sqrt(2.5)))


def test_too_few_controls_are_refused():
    with pytest.raises(ScanweaveError, match=r"course\.controls: 2 control patients"):
        learn_course(pd.DataFrame({"change": [1.0, 2.0]}), pd.Series([True, True]), CourseSettings(of="x"))


@pytest.mark.parametrize("values", [{"rule": "thresholds", "low": 2, "high": 1}, {"earliest": 3, "latest": 2}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ValidationError):
        CourseSettings(of="x", **values)


def test_a_rule_is_kept_in_a_run_as_it_was(tmp_path):
    rule = Course(CourseSettings(of="x", spread=2.0), -1.5, 2.5, 40)
    told = {"label": "x", "field": None, "features": ["x"], "classes": ["better", "stable", "worse"]}
    told |= {"studies": ["a"], "patients": ["p"], "conformal": None, "coverage": 0.9}
    Record(course=rule, **told).save(tmp_path / FILE)
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["course"] == {"settings": rule.settings.model_dump(), "low": -1.5, "high": 2.5, "controls": 40}
    assert Record.load(tmp_path / FILE).question.course == rule
    for wrong in ({}, {**kept["course"], "low": "x"}, {**kept["course"], "settings": []}, []):
        (tmp_path / FILE).write_text(json.dumps({**kept, "course": wrong}))
        with pytest.raises(ScanweaveError, match=r"question\.json: course"):
            Record.load(tmp_path / FILE)
