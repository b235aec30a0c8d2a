"""Draws of training samples that systems share: what a run began with, it goes on with."""

import numpy as np
import pytest

from scanweave.framework.network_task import draw_study, some_scans

THERE = [True, False, True, True]


@pytest.mark.parametrize("order_first", [False, True])
def test_scans_that_a_sample_shows_are_some_of_those_there(order_first):
    drawn = [some_scans(THERE, np.random.default_rng([3, k]), 0.5, order_first=order_first) for k in range(400)]
    assert all(1 <= sum(one) <= 3 and not one[1] for one in drawn)
    assert 0.4 < np.mean([sum(one) < 3 for one in drawn]) < 0.6
    assert {tuple(one) for one in drawn if sum(one) == 1} == {tuple(np.eye(4, dtype=bool)[k]) for k in (0, 2, 3)}
    assert some_scans([False, True], np.random.default_rng(0), 0.99, order_first=order_first) == [False, True]


def test_draws_are_those_of_earlier_runs():
    segment, classify = np.random.default_rng([0, 1, 5]), np.random.default_rng([0, 1, 5])
    assert segment.random() == classify.random()
    count = int(segment.integers(1, 3))
    wanted = set(segment.permutation([0, 2, 3])[:count].tolist())
    found = some_scans(THERE, np.random.default_rng([0, 1, 5]), 1.0)
    assert {k for k, shown in enumerate(found) if shown} == wanted
    wanted = set(classify.permutation([0, 2, 3])[: int(classify.integers(1, 3))].tolist())
    found = some_scans(THERE, np.random.default_rng([0, 1, 5]), 1.0, order_first=True)
    assert {k for k, shown in enumerate(found) if shown} == wanted


def test_each_study_comes_once_before_any_comes_again():
    drawn = [draw_study("abcde", 7, index)[0] for index in range(15)]
    assert all(sorted(drawn[k : k + 5]) == list("abcde") for k in (0, 5, 10))
    assert draw_study("abcde", 7, 4)[1].random() == np.random.default_rng([7, 1, 4]).random()
