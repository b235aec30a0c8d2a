"""Lesions found at a fixed number of false ones a scan."""

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.lesion_rates import THRESHOLDS, at_rate, lesion_rates, smallest_third, summarise_rates

SHAPE = (30, 20, 10)
SPACING = (1.0, 1.0, 1.0)


def scan_with(lesions, false=(), shape=SHAPE):
    """A truth and a map: blocks of 3³ at x, of a probability each; false ones beside."""
    truth, shares = np.zeros(shape, bool), np.zeros(shape)
    for x, share in lesions:
        truth[x : x + 3, 2:5, 2:5] = True
        shares[x : x + 3, 2:5, 2:5] = share
    for x, share in false:
        shares[x : x + 3, 12:15, 2:5] = share
    return truth, shares


def test_lesions_and_false_ones_at_each_threshold():
    truth, shares = scan_with([(2, 0.9), (10, 0.4)], false=[(20, 0.6)])
    found = lesion_rates(truth, shares, SPACING)
    at = {threshold: place for place, threshold in enumerate(THRESHOLDS)}
    assert found.volumes_ml == (0.027, 0.027)
    assert found.found[at[0.29]] == (True, True)
    assert found.false[at[0.29]] == 1
    assert found.found[at[0.65]] == (True, False)
    assert found.false[at[0.65]] == 0
    assert found.dice[at[0.65]] == pytest.approx(2 * 27 / (54 + 27))


def test_a_lesion_must_be_covered_by_a_share():
    truth, shares = scan_with([(2, 0.9)])
    shares[3:5] = 0  # a third is left
    assert lesion_rates(truth, shares, SPACING, covered=0.3).found[10] == (True,)
    assert lesion_rates(truth, shares, SPACING, covered=0.4).found[10] == (False,)


def test_a_piece_that_fills_the_organ_finds_nothing_and_is_false():
    truth, _ = scan_with([(2, 0.9)])
    found = lesion_rates(truth, np.full(SHAPE, 0.9), SPACING)
    assert found.found[10] == (False,)
    assert found.false[10] == 1


def test_the_threshold_with_most_lesions_at_the_price_is_taken():
    scans = [lesion_rates(*scan_with([(2, 0.9), (10, 0.4)], false=[(20, 0.6)]), SPACING) for _ in range(2)]
    assert THRESHOLDS[at_rate(scans, 1.0)] < 0.4
    assert THRESHOLDS[at_rate(scans, 0.0)] >= 0.6
    always = [lesion_rates(*scan_with([(2, 0.5)], false=[(20, 0.99)]), SPACING)]
    assert THRESHOLDS[at_rate(always, 0.5)] == THRESHOLDS[-1]


def test_the_summary_tells_small_lesions_and_healthy_scans_apart():
    ill = lesion_rates(*scan_with([(2, 0.9), (10, 0.3)], false=[(20, 0.2)]), SPACING)
    small = np.zeros(SHAPE, bool)
    small[2, 2, 2:4] = True
    tiny = lesion_rates(small, np.where(small, 0.8, 0.0), SPACING)
    well = lesion_rates(*scan_with([], false=[(20, 0.7)]), SPACING)
    table = summarise_rates([ill, tiny, well], ["a", "b", "c"], 0.0).set_index("measure")
    assert smallest_third([ill, tiny, well]) == pytest.approx(0.002)
    assert table.loc["sensitivity at 0 false a scan", "value"] == pytest.approx(2 / 3)
    assert table.loc["the same, smallest third", "value"] == 1.0
    assert table.loc["the same, smallest third", "lesions"] == 1
    assert table.loc["alarm rate there", "value"] == 0.0
    assert table.loc["alarm rate there", "scans"] == 1
    assert (table["threshold"] >= 0.7).all()


def test_no_lesion_and_no_call_is_right():
    found = lesion_rates(np.zeros(SHAPE), np.zeros(SHAPE), SPACING)
    assert found.dice[0] == 1.0
    assert found.volumes_ml == ()
    assert np.isnan(smallest_third([found]))


def test_maps_on_another_grid_are_refused():
    with pytest.raises(ScanweaveError, match="one grid"):
        lesion_rates(np.zeros(SHAPE), np.zeros((3, 3, 3)), SPACING)
