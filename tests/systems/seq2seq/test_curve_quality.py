"""Curves of made series against real ones."""

import numpy as np
import pandas as pd
import pytest

from scanweave.measures.enhancement_curves import Phases
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.curve_quality import agent_phases, curve_quality, lesion_rows, type_match, type_orders

TIMES = (0.0, 60.0, 120.0, 300.0)


def test_phases_follow_from_times_and_are_unknown_of_what_shows_no_agent():
    assert agent_phases(SeriesFrames(frames=4, times=TIMES)) == Phases(1, 2)
    assert agent_phases(SeriesFrames(frames=4)) == Phases()
    assert agent_phases(SeriesFrames(frames=3)) is None
    assert agent_phases(SeriesFrames(frames=4, b_values=(0, 50, 400, 800))) is None
    assert agent_phases(SeriesFrames(frames=4, times=(0.0, 2.0, 4.0, 6.0))) is None  # no late frame


def test_equal_curves_have_no_error_and_others_have_what_they_differ_by():
    real = np.array([100.0, 200.0, 180.0, 150.0])
    assert curve_quality(real, real, 400.0, Phases()) == {"curve_rmse": 0, "wash_in_error": 0, "wash_out_error": 0}
    found = curve_quality(real + 40, real, 400.0, Phases())
    assert found["curve_rmse"] == pytest.approx(0.1)
    assert found["wash_in_error"] == pytest.approx(abs(240 / 140 - 2))
    assert found["wash_out_error"] == pytest.approx(abs(190 / 240 - 0.75))
    assert set(curve_quality(real, real, 400.0, None)) == {"curve_rmse"}


def test_lesions_have_their_types_and_order():
    curves = {"1": [100, 200, 200, 120], "2": [100, 200, 200, 205], "3": [100, 150, 160, 260]}
    real, lesions = np.ones((3, 1, 1, 4)), {}
    for place, (label, curve) in enumerate(curves.items()):
        real[place, 0, 0] = curve
        lesions[label] = np.zeros((3, 1, 1), bool)
        lesions[label][place] = True
    rows = list(lesion_rows(real, real, lesions, Phases()))
    assert [row["type_real"] for row in rows] == ["washout", "plateau", "persistent"]
    assert type_match(rows) == {"type_match": 1.0}
    assert list(lesion_rows(real, real, lesions, None)) == []
    flat = list(lesion_rows(np.full_like(real, 7.0), real, lesions, Phases()))
    assert type_match(flat)["type_match"] == pytest.approx(1 / 3)
    who = {"kind": "all", "source": "all", "target": "dce", "study": "s", "patient": "p"}
    for found, expected in ((rows, 1.0), (flat, 0.5)):
        order = type_orders(pd.DataFrame([who | row for row in found]))
        assert order["mean"].tolist() == [expected]
    turned = [row | {"wash_out_made": -row["wash_out_made"]} for row in rows]
    assert type_orders(pd.DataFrame([who | row for row in turned]))["mean"].tolist() == [0.0]
    assert type_orders(pd.DataFrame([who | rows[0]])).empty
