from __future__ import annotations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.ranks import rank_intervals, rank_probabilities


def test_probabilities_by_hand():
    scores = [[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0]]
    expected = [[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0, 0.25, 0.75]]
    np.testing.assert_allclose(rank_probabilities(scores), expected)


def test_ties_share_their_ranks():
    np.testing.assert_allclose(rank_probabilities([[1.0, 1.0, 0.0]]), [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])


def test_everything_has_a_rank_and_every_rank_is_taken():
    shares = rank_probabilities(np.random.default_rng(0).integers(0, 4, size=(200, 6)))
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_intervals_are_narrow_where_scores_are_apart():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2000, 3)) * [1, 1, 0.1] + [0, 0, 50]
    ranks = rank_intervals(scores, n=20)
    np.testing.assert_array_equal(ranks.low, [2, 2, 1])
    np.testing.assert_array_equal(ranks.high, [3, 3, 1])


def test_one_patient_tells_no_ranks():
    ranks = rank_intervals(np.tile([3.0, 2.0, 1.0], (100, 1)), n=1)
    assert np.isnan(ranks.probability).all()
    assert np.isnan(ranks.low).all()


def test_confidence_is_a_fraction():
    with pytest.raises(ScanweaveError, match="confidence: 95"):
        rank_intervals([[1.0, 2.0]], n=5, confidence=95)


@pytest.mark.parametrize("scores", [[[1.0, np.nan]], [1.0, 2.0], np.empty((0, 3))])
def test_faults(scores):
    with pytest.raises(ScanweaveError, match="scores"):
        rank_probabilities(scores)
