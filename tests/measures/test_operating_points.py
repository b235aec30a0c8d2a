from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanweave.errors import ScanweaveError
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point

POSITIVE = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
SCORES = np.arange(10) / 10


def test_rules_by_hand():
    assert choose_operating_point(POSITIVE, SCORES).threshold == 0.6  # sensitivity 0.8, specificity 1
    assert choose_operating_point(POSITIVE, SCORES, "sensitivity", 1.0).threshold == 0.4
    assert choose_operating_point(POSITIVE, SCORES, "sensitivity", 0.8).threshold == 0.6
    assert choose_operating_point(POSITIVE, SCORES, "sensitivity", 0.7).threshold == 0.6
    assert choose_operating_point(POSITIVE, SCORES, "specificity", 0.8).threshold == 0.4
    assert choose_operating_point(POSITIVE, SCORES, "specificity", 1.0).threshold == 0.6


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=40),
    st.sampled_from(["sensitivity", "specificity"]),
    st.sampled_from([0.5, 0.9, 0.95, 1.0]),
)
def test_the_target_is_reached_and_no_more_is_given_up_than_needed(rows, rule, target):
    positive, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    if positive.all() or not positive.any():
        return
    point = choose_operating_point(positive, scores, rule, target)
    rates = point.confusion(positive, scores).rates()
    assert rates[rule].value >= target
    further = scores[scores > point.threshold] if rule == "sensitivity" else scores[scores < point.threshold]
    for threshold in further:
        assert OperatingPoint(threshold, "", 0).confusion(positive, scores).rates()[rule].value < target


def test_a_share_that_is_just_reached_is_reached():
    """1 − 5/12 is less than 7/12 by rounding; of 12 negatives 7 are enough for a specificity of 7/12."""
    positive, scores = np.arange(13) == 12, np.arange(13.0)
    assert choose_operating_point(positive, scores, "specificity", 7 / 12).threshold == 7


def test_of_equal_youden_indices_the_highest_threshold_is_taken():
    """1/3 + 1 − 0 and 2/3 + 1 − 1/3 are equal but for rounding."""
    assert choose_operating_point([1, 1, 0, 1, 0, 0], [3.0, 2.0, 2.0, 1.0, 1.0, 1.0]).threshold == 3


def test_nobody_is_called_where_that_is_best():
    point = choose_operating_point([1, 0, 0], [0.1, 0.9, 0.5], "specificity", 1.0)
    assert not point.call([0.1, 0.5, 0.9]).any()
    assert math.isfinite(point.threshold)


def test_test_data_never_move_a_frozen_threshold():
    point = choose_operating_point(POSITIVE, SCORES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.threshold = 0.1
    confusion = point.confusion([1, 1, 0], [0.6, 0.59, 0.99])
    assert dataclasses.astuple(confusion) == (1, 1, 0, 1)
    assert (point.rows, point.rule) == (10, "highest Youden index")


def test_rates_have_their_own_n():
    rates = OperatingPoint(0.5, "", 0).confusion([1, 1, 1, 0, 0], [0.9, 0.8, 0.1, 0.7, 0.2]).rates()
    assert {name: (round(rate.value, 3), rate.n) for name, rate in rates.items()} == {
        "sensitivity": (0.667, 3),
        "specificity": (0.5, 2),
        "ppv": (0.667, 3),
        "npv": (0.5, 2),
        "accuracy": (0.6, 5),
    }
    assert rates["sensitivity"].low < 0.667 < rates["sensitivity"].high


def test_a_rate_of_nothing_is_not_a_number():
    rates = OperatingPoint(5.0, "", 0).confusion([1, 1], [0.9, 0.8]).rates()
    assert math.isnan(rates["ppv"].value)
    assert math.isnan(rates["specificity"].value)
    assert rates["sensitivity"].value == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_operating_point([1, 1], [0.1, 0.2]), "every row is positive"),
        (lambda: choose_operating_point(POSITIVE, SCORES, "best"), "best is unknown"),
        (lambda: choose_operating_point(POSITIVE, SCORES, "sensitivity"), "needs one"),
        (lambda: choose_operating_point(POSITIVE, SCORES, "sensitivity", 95), "between 0 and 1"),
        (lambda: choose_operating_point(POSITIVE, SCORES, "youden", 0.9), "youden has none"),
        (lambda: OperatingPoint(0.5, "", 0).call([0.1, np.nan]), "NaN"),
        (lambda: OperatingPoint(0.5, "", 0).call(["high"]), "not all are numbers"),
        (lambda: OperatingPoint(0.5, "", 0).confusion([1, 0], [0.1]), "2 rows"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
