"""Curves after a contrast agent: types by BI-RADS, wash-in and wash-out, differences of series."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import (
    CurveType,
    Phases,
    curve_errors,
    curve_type,
    mean_curve,
    wash_in,
    wash_out,
)


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (180.0, CurveType.PERSISTENT),
        (166.0, CurveType.PERSISTENT),
        (165.0, CurveType.PLATEAU),  # exactly +10 %, though 165 / 150 − 1 is above 0.1 in floats
        (150.0, CurveType.PLATEAU),
        (135.0, CurveType.PLATEAU),
        (134.0, CurveType.WASHOUT),
    ],
)
def test_type_is_told_by_the_change_after_the_early_peak(last, kind):
    assert curve_type([100.0, 150.0, 140.0, 145.0, last]) is kind


def test_early_peak_is_the_highest_of_the_first_two_minutes():
    curve, times = [100.0, 150.0, 200.0, 210.0, 200.0], np.array([0.0, 60.0, 120.0, 180.0, 240.0])
    assert Phases.of(times, injection=20.0) == Phases(before=1, early=2)
    assert Phases.of(times, injection=60.0) == Phases(before=2, early=2)
    assert wash_out(curve, Phases.of(times, 20.0)) == pytest.approx(0.0)
    assert wash_out(curve, Phases.of([0.0, 100.0, 200.0, 300.0, 400.0], 20.0)) == pytest.approx(1 / 3)


def test_wash_in_and_wash_out_by_hand():
    curve = [90.0, 110.0, 150.0, 180.0, 170.0, 150.0]
    assert wash_in(curve, Phases(before=2, early=2)) == pytest.approx(0.8)
    assert wash_out(curve, Phases(before=2, early=2)) == pytest.approx(150 / 180 - 1)


def test_maps_are_curves_of_every_voxel():
    series = np.random.default_rng(0).uniform(1, 2, (3, 4, 2, 5))
    rise, fall = wash_in(series), wash_out(series)
    assert rise.shape == fall.shape == (3, 4, 2)
    assert rise[1, 2, 0] == wash_in(series[1, 2, 0])
    assert fall[1, 2, 0] == wash_out(series[1, 2, 0])


def test_no_signal_before_the_agent_is_no_wash_in():
    series = np.array([[0.0, 1.0, 2.0, 1.0], [1.0, 2.0, 2.0, 2.0]])
    np.testing.assert_array_equal(wash_in(series), [np.nan, 1.0])
    np.testing.assert_array_equal(wash_out(series), [-0.5, 0.0])


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0, 60, 50], "do not ascend"),
        ([30, 60, 200], "no frame lies before the injection"),
        ([0, 200, 300], "no frame lies up to 120 s after it"),
        ([0, 60, 120], "no frame lies later than 120 s after it"),
    ],
)
def test_times_that_tell_no_type_are_refused(times, reason):
    with pytest.raises(ScanweaveError, match=reason):
        Phases.of(times, injection=20.0)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ([1.0, 2.0, 3.0], "At least one frame must follow"),
        ([1.0, np.nan, 3.0, 2.0], "finite"),
        ([[1.0, 2.0, 3.0, 2.0]], "one curve"),
        ([1.0, 0.0, 0.0, 0.0], "not above 0"),
    ],
)
def test_curves_without_a_type_are_refused(curve, reason):
    with pytest.raises(ScanweaveError, match=reason):
        curve_type(curve)


def _series(curve, scale=1.0):
    return scale * np.ones((2, 2, 2, 1)) * np.asarray(curve)


def test_equal_curves_differ_by_nothing_whatever_their_frames():
    region = {"all": np.ones((2, 2, 2))}
    times, fewer = np.arange(6) * 60.0, np.array([30.0, 100.0, 270.0, 400.0])
    straight = 100 + times / 10  # a straight curve is interpolated without error
    found = curve_errors(_series(straight), _series(100 + fewer / 10), region, made_times=times, real_times=fewer)
    assert found["all"]["rmse"] == pytest.approx(0.0, abs=1e-9)
    assert found["all"]["enhancement_rmse"] == pytest.approx(0.0, abs=1e-9)
    assert found["all"]["frames"] == 3  # 400 s lies beyond what was made: nothing is extrapolated


def test_enhancement_does_not_depend_on_the_scale():
    half = np.zeros((2, 2, 2))
    half[0] = 1
    real, made = _series([100.0, 200.0, 150.0]), _series([100.0, 200.0, 150.0], 2.0)
    found = curve_errors(made, real, {"half": half})["half"]
    assert found["rmse"] == pytest.approx(np.sqrt((100**2 + 200**2 + 150**2) / 3))
    assert found["enhancement_rmse"] == pytest.approx(0.0)


def test_region_chooses_the_voxels():
    series = np.zeros((2, 1, 1, 2))
    series[0] = [1.0, 3.0]
    np.testing.assert_array_equal(mean_curve(series, [[[1]], [[0]]]), [1.0, 3.0])
    np.testing.assert_array_equal(mean_curve(series, [[[1]], [[1]]]), [0.5, 1.5])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "not all times are known"),
        ({"made_times": [0, 1], "real_times": [5, 6, 7]}, "fewer than two"),
        ({"made_times": [0, 1, 2], "real_times": [5, 6, 7]}, "made_times: are not 2"),
    ],
)
def test_series_that_cannot_be_compared_are_refused(arguments, reason):
    with pytest.raises(ScanweaveError, match=reason):
        curve_errors(_series([1.0, 2.0]), _series([1.0, 2.0, 3.0]), {"all": np.ones((2, 2, 2))}, **arguments)
