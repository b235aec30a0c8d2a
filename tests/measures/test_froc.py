from __future__ import annotations

import numpy as np
import pytest
from box_samples import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_fp_tp_probs_nd, compute_froc_curve_data, compute_froc_score

from scanweave.errors import ScanweaveError
from scanweave.measures.froc import RATES, froc_curve, froc_table, mark_lesions

TRUTHS = [boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes((0, 0, 10, 10)), boxes(), boxes()]
FOUND = [
    boxes((0, 0, 10, 10), (1, 0, 10, 10), (50, 50, 60, 60), scores=[0.9, 0.6, 0.5]),  # twice the same lesion
    boxes((0, 0, 10, 10), scores=[0.7]),
    boxes((5, 5, 9, 9), (30, 30, 40, 40), scores=[0.8, 0.5]),
    boxes(scores=[]),
]


def marks(rule="iou", **options):
    return mark_lesions(TRUTHS, FOUND, "nodule", rule, **options)


def test_curve_by_hand():
    curve = froc_curve(marks())
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.5]  # 0.6, the second one on a lesion, is no mark
    assert curve.rates == pytest.approx([0, 0, 1 / 4, 1 / 4, 3 / 4])
    assert curve.sensitivities == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.at([0, 0.125, 0.25, 0.5, 8]) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_a_small_box_in_a_lesion_is_on_it_by_its_centre_only():
    found = [boxes((4, 4, 6, 6), scores=[0.9])]
    truth = [boxes((0, 0, 10, 10))]
    assert np.isinf(mark_lesions(truth, found, "nodule").lesion_scores).all()
    assert mark_lesions(truth, found, "nodule", "centre").lesion_scores.tolist() == [0.9]
    assert mark_lesions(truth, found, "nodule", least_iou=0.04).lesion_scores.tolist() == [0.9]


def test_ignored_boxes_are_neither_missed_nor_false():
    truth = [boxes((0, 0, 10, 10), (20, 20, 30, 30), ignored=[False, True])]
    found = [boxes((0, 0, 10, 10), (20, 20, 30, 30), scores=[0.9, 0.8])]
    got = mark_lesions(truth, found, "nodule")
    assert (got.lesion_scores.tolist(), got.false_scores.tolist()) == ([0.9], [])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_curve_equals_monai(seed):
    rng = np.random.default_rng(seed)
    truths, found, false, true, lesions = [], [], [], [], 0
    for number in range(5):
        corners = [(x, 10, x + 6, 16) for x in (0, 20, 40) if rng.random() < 0.6]
        corners += [(60, 60, 70, 70)] * (number == 0)  # one that is never found: see the next test
        centres = rng.integers(0, 50, size=(6, 2))
        centres[:3, 1] = rng.integers(10, 16, size=3)
        scores = rng.permutation(np.arange(1, 64))[:6] / 64  # exact in float32, which MONAI keeps lesion scores in
        mask = np.zeros((80, 80), dtype=int)
        for label, (a, b, c, d) in enumerate(corners, start=1):
            mask[a:c, b:d] = label
        wrong, right, count = compute_fp_tp_probs_nd(scores, centres, mask)
        false.append(wrong)
        true.append(right)
        lesions += count
        middle = centres + 0.5  # the centre of that pixel, where pixel i reaches from i to i + 1
        truths.append(boxes(*corners))
        found.append(boxes(*np.hstack([middle - 1, middle + 1]), scores=scores))
    rates, sensitivities = compute_froc_curve_data(np.concatenate(false), np.concatenate(true), lesions, 5)
    got = froc_curve(mark_lesions(truths, found, "nodule", "centre"))
    for rate in (0.125, 0.25, 0.5, 1, 2, 4, 8):
        assert got.at([rate])[0] == pytest.approx(compute_froc_score(rates, sensitivities, (rate,)), abs=1e-6)


def test_monai_leaves_out_the_last_point_where_every_lesion_is_found():
    false, true = np.array([0.5]), np.array([0.9, 0.3], dtype=np.float32)
    assert compute_froc_curve_data(false.astype(np.float32), true, 2, 1)[1].max() == 0.5
    truth = [boxes((0, 0, 10, 10), (20, 20, 30, 30))]
    found = [boxes((0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60), scores=[0.9, 0.3, 0.5])]
    assert froc_curve(mark_lesions(truth, found, "nodule")).at([8])[0] == 1


def test_equal_scores_come_in_together():
    truth = [boxes((0, 0, 10, 10))]
    for order in ([0, 1], [1, 0]):
        rows = np.array([(0, 0, 10, 10), (50, 50, 60, 60)])[order]
        curve = froc_curve(mark_lesions(truth, [boxes(*rows, scores=[0.5, 0.5])], "nodule"))
        assert curve.rates.tolist() == [0, 1]
        assert curve.at([0.5])[0] == 0.5  # a constant score is no better than a guess


def test_weights_are_copies():
    times = np.array([2, 0, 1, 3])
    copies = np.repeat(np.arange(4), times)
    whole = froc_curve(mark_lesions([TRUTHS[k] for k in copies], [FOUND[k] for k in copies], "nodule"))
    assert froc_curve(marks(), times).at(RATES) == pytest.approx(whole.at(RATES))


def test_table_is_by_patient():
    table = froc_table(marks(), ["a", "a", "b", "c"], rates=[0.25, 1], repeats=200)
    assert table["value"].tolist() == pytest.approx([2 / 3] * 3)
    assert table["patients"].tolist() == [3] * 3  # resamples without patient a have no lesion, and do not count
    assert table["lesions"].tolist() == [3] * 3
    assert table["measure"].tolist() == ["sensitivity", "sensitivity", "FROC score"]
    assert table["low"].notna().all()


def test_without_a_lesion_there_is_no_curve():
    with pytest.raises(ScanweaveError, match="no lesion"):
        froc_curve(mark_lesions([boxes()], [boxes((0, 0, 1, 1), scores=[0.5])], "nodule"))
    with pytest.raises(ScanweaveError, match="iou or centre"):
        marks("near")
    with pytest.raises(ScanweaveError, match="above 0"):
        marks(least_iou=0)
