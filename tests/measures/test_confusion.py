"""Measures of many confusion matrices at once are those of one after the other."""

import numpy as np
import pytest

from scanweave.measures import classification
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.confusion import BINARY_CALLS, CALLS, confusion_counts, measure_calls


@pytest.mark.parametrize("count", [2, 4])
def test_figures_are_those_of_the_plain_functions(count):
    rng = np.random.default_rng(count)
    for _ in range(20):
        true, called = rng.integers(0, count, (2, 12))
        counts = confusion_counts(true, called, count).astype(float)
        average = "binary" if count == 2 else "macro"
        assert CALLS["balanced accuracy"](counts) == pytest.approx(classification.balanced_accuracy(true, called))
        assert CALLS["F1"](counts) == pytest.approx(classification.f1(true, called, average), nan_ok=True)
        assert CALLS["MCC"](counts) == pytest.approx(classification.mcc(true, called))


def test_many_at_once():
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 9, (5, 3, 3)).astype(float)
    for measure in CALLS.values():
        assert measure(stack) == pytest.approx([float(measure(one)) for one in stack])


def test_accuracy_has_the_interval_of_the_mean_over_patients():
    rng = np.random.default_rng(1)
    true, called = rng.integers(0, 3, (2, 60))
    patients = [f"p{number // 2}" for number in range(60)]
    found = measure_calls(true, called, 3, patients, seed=4)["accuracy"]
    plain = bootstrap(true == called, patients, seed=4)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_resamples_without_a_class_are_left_out():
    true = [1, *[0] * 11]
    found = measure_calls(true, true, 2, range(12), BINARY_CALLS)
    assert (found["sensitivity"].low, found["sensitivity"].high) == (1, 1)
    nobody = measure_calls([0, 0, 0], [0, 0, 0], 2, range(3), BINARY_CALLS)["sensitivity"]
    assert np.isnan([nobody.value, nobody.low, nobody.high]).all()
