from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.pointing import pointing_hit

TARGET = np.zeros((10, 10), dtype=bool)
TARGET[2:5, 2:5] = True


def peak(*places):
    values = np.zeros((10, 10))
    for place in places:
        values[place] = 1
    return values


def test_the_highest_point_decides():
    assert pointing_hit(peak((3, 3)), TARGET) == 1
    assert pointing_hit(peak((8, 8)), TARGET) == 0
    assert pointing_hit(peak((3, 3), (8, 8)), TARGET) == 0.5


def test_a_constant_map_scores_as_a_guess():
    assert pointing_hit(np.ones((10, 10)), TARGET) == pytest.approx(TARGET.mean())


def test_a_margin_widens_the_target():
    assert pointing_hit(peak((6, 3)), TARGET, margin=1) == 0
    assert pointing_hit(peak((6, 3)), TARGET, margin=2) == 1
    assert pointing_hit(peak((6, 6)), TARGET, margin=2) == 0  # √8 away


def test_volumes_too():
    target = np.zeros((4, 4, 4), dtype=bool)
    target[1] = True
    values = np.random.default_rng(0).random((4, 4, 4))
    values[1, 2, 2] = 2
    assert pointing_hit(values, target) == 1


@pytest.mark.parametrize(
    ("values", "target", "margin", "words"),
    [
        (np.full((10, 10), np.nan), TARGET, 0, "NaN"),
        (peak((1, 1)), TARGET & False, 0, "empty"),
        (peak((1, 1)), TARGET[:5], 0, "one grid"),
        (peak((1, 1)), TARGET, -1, "0 or more"),
    ],
)
def test_what_cannot_be_played_is_refused(values, target, margin, words):
    with pytest.raises(ScanweaveError, match=words):
        pointing_hit(values, target, margin)
