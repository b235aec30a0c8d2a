from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.map_boxes import map_boxes


def heat_map():
    values = np.zeros((12, 8))
    values[1:4, 2:5] = 2.0
    values[2, 3] = 4.0  # the maximum
    values[4, 5] = 2.0  # touches by a corner
    values[8:10, 6:8] = 3.0
    values[11, 0] = 1.9  # below half of the maximum
    return values


def test_boxes_by_hand():
    found = map_boxes(heat_map(), "nodule", 0.8)
    assert found.labels == ("nodule", "nodule")
    assert found.corners.tolist() == [[[8, 6], [10, 8]], [[1, 2], [5, 6]]]
    assert found.scores == pytest.approx([0.8 * 3 / 4, 0.8 * (9 * 2 + 4) / 10 / 4])
    assert (found.unit, found.size) == ("pixel", (12, 8))


def test_film_of_one_slice_and_volume():
    assert (
        map_boxes(heat_map()[..., None], "a", 0.5).corners.tolist() == map_boxes(heat_map(), "a", 0.5).corners.tolist()
    )
    volume = np.zeros((5, 5, 5))
    volume[1:3, 2, 4] = 1
    found = map_boxes(volume, "a", 0.5)
    assert (found.unit, found.corners.tolist(), found.scores.tolist()) == ("voxel", [[[1, 2, 4], [3, 3, 5]]], [0.5])


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), 3.0), np.full((4, 4), -1.0)])
def test_a_map_that_says_nothing_gives_no_box(values):
    found = map_boxes(values, "a", 0.9)
    assert (len(found), found.scores.tolist(), found.size) == (0, [], (4, 4))
    noise = np.float32(1) + np.random.default_rng(0).random((4, 4)).astype(np.float32) * np.float32(1e-7)
    assert len(map_boxes(noise, "a", 0.9)) == 0


def test_scale_of_the_map_does_not_matter():
    for factor in (1e-6, 1e6):
        one, other = map_boxes(heat_map(), "a", 0.7), map_boxes(heat_map() * factor, "a", 0.7)
        assert one.corners.tolist() == other.corners.tolist()
        assert one.scores == pytest.approx(other.scores)


def test_share_of_the_maximum():
    assert len(map_boxes(heat_map(), "a", 1, share=0.9)) == 1
    assert len(map_boxes(heat_map(), "a", 1, share=0.4)) == 3


@pytest.mark.parametrize(
    ("values", "probability", "share", "words"),
    [
        (np.array([[0.0, np.nan]]), 0.5, 0.5, "NaN or infinity"),
        (np.ones(4), 0.5, 0.5, "shape"),
        (np.ones((2, 2)), 1.5, 0.5, "from 0 to 1"),
        (np.ones((2, 2)), 0.5, 1.0, "share: 1.0"),
    ],
)
def test_refused_in_one_line(values, probability, share, words):
    with pytest.raises(ScanweaveError, match=words):
        map_boxes(values, "a", probability, share)
