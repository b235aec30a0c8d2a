"""Equal on paper stays equal: thresholds are reached, ranks shared, intervals end in range."""

from __future__ import annotations

import numpy as np
import pytest
from box_samples import boxes

from scanweave.measures.decision_curve import decision_curve, net_benefit
from scanweave.measures.froc import mark_lesions
from scanweave.measures.input_checks import reached
from scanweave.measures.lesions import count_lesions
from scanweave.measures.operating_points import choose_operating_point
from scanweave.measures.proportions import proportion
from scanweave.measures.ranks import rank_probabilities
from scanweave.measures.surfaces import surface_distances


def test_a_share_is_reached_however_it_was_computed():
    for percent in range(1, 100):
        threshold = percent / 100
        for share in (1 - (1 - threshold), threshold * 3 / 3, (percent + 100) / 100 - 1):
            assert reached(share, threshold)
        assert not reached(threshold - 1e-6, threshold)


def test_who_stands_at_the_threshold_is_treated():
    share = 1 - 0.9
    assert share < 0.1
    assert net_benefit([1, 0], [share, 0.0], 0.1) == 0.5
    point = decision_curve([1, 0], [share, 0.0], ["a", "b"], [0.1], seed=0, repeats=10)[0]
    assert point.model.value == 0.5


def test_seven_of_a_hundred_voxels_are_seven_percent():
    assert 0.07 * 100 > 7
    truth, predicted = np.zeros((2, 12, 12), bool)
    truth[1:11, 1:11] = True
    predicted[1, 1:8] = True
    assert count_lesions(truth, predicted, (1, 1), least=0.07).found == 1
    assert count_lesions(truth, predicted, (1, 1), least=0.071).found == 0
    assert count_lesions(truth, predicted, (1, 1), rule="iou", least=0.07).found == 1


@pytest.mark.parametrize("count", [3, 6, 7, 12])
def test_a_lesion_has_the_volume_of_its_voxels(count):
    """Voxels of 0.1 × 0.1 × 0.7 mm, so 0.007 mm³, of which `count` are a lesion of just the least volume."""
    truth = np.zeros((3, 3, 14), bool)
    truth[1, 1, 1 : 1 + count] = True
    counts = count_lesions(truth, truth, (0.1, 0.1, 0.7), least_ml=count * 7 / 1e6)
    assert counts.found == 1


def test_an_iou_is_reached_where_the_boxes_say_so():
    truth, found = [boxes((2, 0, 3, 1))], [boxes((2, 0, 2.3, 1), scores=[0.9])]
    assert 2.3 - 2 < 0.3
    assert mark_lesions(truth, found, "nodule", least_iou=0.3).lesion_scores.tolist() == [0.9]


def test_three_voxels_of_a_tenth_lie_within_three_tenths():
    truth, predicted = np.zeros((2, 12, 12, 12), bool)
    truth[2:8, 2:10, 2:10] = True
    predicted[5:8, 2:10, 2:10] = True
    assert 3 * 0.1 > 0.3
    distances = surface_distances(truth, predicted, (0.1, 0.1, 0.1))
    assert distances.dice(0.3) == distances.dice(0.301) > distances.dice(0.299)


def test_what_adds_up_to_the_same_shares_a_rank():
    scores = np.array([[0.1 + 0.2, 0.3, 0.2], [0.3, 0.1 + 0.2, 0.2], [-0.3, -(0.1 + 0.2), -0.4]])
    assert rank_probabilities(scores).tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    assert rank_probabilities(scores + np.array([0, 1e-6, 0]))[1].tolist() == [1, 0, 0]


def test_a_target_rate_is_reached_by_its_number_of_patients():
    positive, scores = np.repeat([True, False], 100), np.concatenate([np.arange(100), np.full(100, -1)]) / 100
    for percent in range(1, 100):
        point = choose_operating_point(positive, scores, "sensitivity", percent / 100)
        assert point.confusion(positive, scores).true_positives == percent


@pytest.mark.parametrize("method", ["wilson", "clopper-pearson"])
def test_proportions_end_at_0_and_1(method):
    for n in (1, 2, 3, 7, 49, 1000):
        none, all_of_them = proportion(0, n, method), proportion(n, n, method)
        assert none.low == 0 < none.high < 1
        assert 0 < all_of_them.low < 1 == all_of_them.high
