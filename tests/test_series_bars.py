"""Bars of the benchmark of series: which lesions count, how errors are compared, what its control is given."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanweave.studies.preparing.series_frames import SeriesFrames

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def series(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import seq2seq_4d

    yield seq2seq_4d
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def lesions(series):
    """Three lesions of two patients; the real series of the last one shows another type than is planted."""
    real = [
        {"patient": "a", "lesion": "1", "planted": "washout", "type_real": "washout", "wash_in_real": 1.0},
        {"patient": "a", "lesion": "2", "planted": "plateau", "type_real": "plateau", "wash_in_real": 1.0},
        {"patient": "b", "lesion": "1", "planted": "persistent", "type_real": "plateau", "wash_in_real": 1.0},
    ]
    made = {
        series.BEST: (["washout", "persistent", "plateau"], [1.1, 0.9, 1.4]),
        series.FRAMEWISE: (["plateau", "plateau", "plateau"], [1.5, 1.5, 0.0]),
    }
    return pd.DataFrame(
        {**row, "sources": series.SERIES, "method": method, "type_made": kind, "wash_in_made": value}
        for method, (kinds, values) in made.items()
        for row, kind, value in zip(real, kinds, values, strict=True)
    )


def test_types_are_judged_where_the_real_series_shows_the_planted_one(series):
    judged, planted, shown = series.type_claims(lesions(series), 0.9)
    assert (judged.value, judged.unit, judged.n) == (0.5, "of 2 lesions", 1)
    assert judged.control[series.FRAMEWISE] == 0.5
    assert judged.holds is False
    assert planted.value == pytest.approx(1 / 3)
    assert shown.value == pytest.approx(2 / 3)
    assert planted.holds is None


def test_errors_of_wash_in_are_compared_as_means_over_all_lesions(series):
    ratio, upper, middle = series.wash_in_claims(lesions(series), series.FRAMEWISE, 0.7)
    assert ratio.value == pytest.approx((0.1 + 0.1 + 0.4) / (0.5 + 0.5 + 1.0))
    assert ratio.holds is True
    assert ratio.n == 2
    assert upper.value == ratio.high
    assert middle.value == pytest.approx(0.1 / 0.5)
    assert middle.holds is None


def test_control_is_given_every_frame_or_the_one_at_a_time(series):
    volumes = {"t1": np.zeros((2, 2, 2), np.float32), "fsdce": np.full((2, 2, 2, 3), [0.0, 1.0, 3.0], np.float32)}
    told = {"fsdce": SeriesFrames(frames=3, times=(0.0, 50.0, 150.0))}
    every = series.regressors(volumes, told, ["t1", "fsdce"], None)
    assert {name: volume[0, 0, 0] for name, volume in every.items()} == {
        "t1 0": 0,
        "fsdce 0": 0,
        "fsdce 1": 1,
        "fsdce 2": 3,
    }
    at = series.regressors(volumes, told, ["t1", "fsdce"], 100.0)
    assert {name: volume[0, 0, 0] for name, volume in at.items()} == {"t1 0": 0, "fsdce 0": 2}
