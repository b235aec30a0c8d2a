from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric import binary
from scipy.ndimage import generate_binary_structure, label

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap_ratio
from scanweave.measures.lesions import count_lesions, summarise_lesions

SPACING = (1.0, 1.0)


def plane(*boxes, size=20):
    mask = np.zeros((size, size), dtype=bool)
    for x, y, width, height in boxes:
        mask[x : x + width, y : y + height] = True
    return mask


TRUTH = plane((1, 1, 4, 4), (10, 1, 2, 2), (1, 10, 3, 3))  # 16, 4 and 9 pixels
PREDICTED = plane(
    (1, 1, 4, 2), (4, 1, 1, 4), (1, 12, 3, 3), (15, 15, 2, 2)
)  # covers 10 of 16, 0 of 4, 3 of 9; one false


def test_lesions_are_what_hands_count():
    counts = count_lesions(TRUTH, PREDICTED, SPACING)
    assert sorted(round(one.volume_ml * 1000) for one in counts.lesions) == [4, 9, 16]
    by_size = {round(one.volume_ml * 1000): one for one in counts.lesions}
    assert [by_size[n].covered for n in (16, 4, 9)] == pytest.approx([10 / 16, 0, 3 / 9])
    assert [by_size[n].dice for n in (16, 4, 9)] == pytest.approx([20 / 26, 0, 6 / 18])
    assert [by_size[n].found for n in (16, 4, 9)] == [True, False, True]
    assert (counts.found, counts.false) == (2, 1)
    assert counts.sensitivity == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert counts.dice == pytest.approx((20 / 26 + 6 / 18) / (3 + 1))  # BraTS: false ones count as 0


def test_a_share_of_the_lesion_can_be_asked_for():
    assert count_lesions(TRUTH, PREDICTED, SPACING, least=1 / 3).found == 2
    counts = count_lesions(TRUTH, PREDICTED, SPACING, least=0.5)
    assert counts.found == 1
    assert counts.false == 1  # what touches a lesion without finding it is not false


def test_iou_makes_pairs():
    counts = count_lesions(TRUTH, PREDICTED, SPACING, rule="iou", least=0.5)  # IoU 10/16, 3/15
    assert (counts.found, counts.false) == (1, 2)
    one_for_two = plane((1, 1, 12, 3))
    two = plane((1, 1, 5, 3), (8, 1, 5, 3))
    assert count_lesions(two, one_for_two, SPACING).found == 2
    paired = count_lesions(two, one_for_two, SPACING, rule="iou")
    assert (paired.found, paired.false) == (1, 0)


def test_pairs_are_chosen_together():
    truth = plane((0, 0, 4, 1), (5, 0, 4, 1))
    predicted = plane((3, 0, 6, 1), (0, 0, 2, 1))  # the first touches both, and the second can only have the left one
    assert count_lesions(truth, predicted, SPACING, rule="iou").found == 2


def test_small_lesions_are_neither_found_nor_missed_nor_false():
    counts = count_lesions(TRUTH, PREDICTED | plane((10, 1, 2, 2)), SPACING, least_ml=5 / 1000)
    assert len(counts.lesions) == 2
    assert counts.false == 0  # one false lesion is small, the other lies on a true one that is
    assert count_lesions(plane((1, 1, 4, 4)), plane((1, 1, 1, 1)), SPACING, least_ml=5 / 1000).found == 0


def test_bridged_parts_are_one_lesion():
    parts = plane((1, 1, 3, 3), (7, 1, 3, 3))
    assert len(count_lesions(parts, parts, SPACING).lesions) == 2
    (lesion,) = count_lesions(parts, plane((1, 1, 3, 3)), SPACING, bridge_voxels=2).lesions
    assert lesion.volume_ml == pytest.approx(18 / 1000)  # the mask itself did not grow
    assert lesion.dice == pytest.approx(2 * 9 / (18 + 9))


def test_corners_join():
    diagonal = np.eye(4, dtype=bool)
    assert len(count_lesions(diagonal, diagonal, SPACING).lesions) == 1
    cube = np.zeros((2, 2, 2), dtype=bool)
    cube[0, 0, 0] = cube[1, 1, 1] = True
    assert len(count_lesions(cube, cube, (1, 1, 1)).lesions) == 1


def test_scans_without_lesions():
    empty = plane()
    both = count_lesions(empty, empty, SPACING)
    assert (both.f1, both.dice, both.false) == (1, 1, 0)
    assert np.isnan(both.sensitivity)
    alarm = count_lesions(empty, PREDICTED, SPACING)
    assert (alarm.f1, alarm.dice, alarm.false) == (0, 0, 3)
    missed = count_lesions(TRUTH, empty, SPACING)
    assert (missed.sensitivity, missed.f1, missed.dice) == (0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (7, 7)), arrays(bool, (7, 7)))
def test_every_lesion_is_found_or_missed_as_components_say(truth, predicted):
    counts = count_lesions(truth, predicted, SPACING)
    touching = generate_binary_structure(2, 2)
    parts, number = label(truth, touching)
    others, predictions = label(predicted, touching)
    assert counts.found == sum((predicted & (parts == k)).any() for k in range(1, number + 1))
    assert counts.false == sum(not (truth & (others == k)).any() for k in range(1, predictions + 1))
    assert len(counts.lesions) == number


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_false_lesions_equal_medpys_where_lesions_pair(seed):
    rng = np.random.default_rng(seed)
    spots = [plane((x, y, 3, 3), size=30) for x, y in [(1, 1), (1, 10), (10, 1), (10, 10), (20, 20), (20, 3)]]
    truth = np.any([spot for spot in spots if rng.random() < 0.6] or spots[:1], axis=0)
    predicted = np.any([spot for spot in spots if rng.random() < 0.6] or spots[:1], axis=0)
    counts = count_lesions(truth, predicted, SPACING)
    # MedPy takes shares of its first mask: obj_tpr(result, reference) as its arguments are named is the precision.
    assert counts.sensitivity == pytest.approx(binary.obj_tpr(truth, predicted))
    assert counts.false / (counts.found + counts.false) == pytest.approx(binary.obj_fpr(truth, predicted))


def test_summary_is_by_patient():
    scans = [count_lesions(TRUTH, PREDICTED, SPACING), count_lesions(TRUTH, TRUTH, SPACING)]
    scans += [count_lesions(plane(), PREDICTED, SPACING), count_lesions(plane(), plane(), SPACING)]
    summary = summarise_lesions(scans, ["a", "a", "b", "c"]).set_index("measure")
    assert summary.loc["sensitivity", "value"] == pytest.approx(5 / 6)
    assert summary.loc["sensitivity", "patients"] == 1  # b and c have no lesion that could be found
    assert np.isnan(summary.loc["sensitivity", "low"])
    assert summary.loc["false lesions a scan", "value"] == pytest.approx((1 + 0 + 3 + 0) / 4)
    assert summary.loc["alarm rate", ["value", "patients", "scans"]].tolist() == [0.5, 2, 2]
    assert summary.loc["F1", "value"] == pytest.approx((4 / 6 + 1 + 0 + 1) / 4)
    assert "alarm rate" not in set(summarise_lesions(scans[:2], ["a", "b"])["measure"])


def test_ratio_is_of_sums():
    found = bootstrap_ratio([1, 3, 0, 0], [1, 4, 5, 0], ["a", "a", "b", "c"], seed=0)
    assert found.value == pytest.approx(4 / 10)
    assert found.n == 2
    assert found.low == pytest.approx(0)  # both draws of b
    assert found.high == pytest.approx(4 / 5)  # both draws of a
    with pytest.raises(ScanweaveError, match="all are 0"):
        bootstrap_ratio([0], [0], ["a"], seed=0)


@pytest.mark.parametrize("options", [{"rule": "dice"}, {"least": 2}, {"least_ml": -1}, {"bridge_voxels": -1}])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ScanweaveError):
        count_lesions(TRUTH, PREDICTED, SPACING, **options)
