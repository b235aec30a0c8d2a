from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import from_numpy
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_reciprocal_rank

from scanweave.errors import ScanweaveError
from scanweave.measures.retrieval import retrieval_scores, retrieval_table

SIMILARITY = np.array(
    [
        [0.9, 0.8, 0.1, 0.2],
        [0.9, 0.8, 0.1, 0.2],
        [0.4, 0.3, 0.2, 0.1],
        [0.1, 0.2, 0.3, 0.4],
    ]
)
KEYS = ["normal", "normal", "effusion", "nodule"]  # pairs 0 and 1 have the same report


def of(table, right, measure, direction="image → report"):
    rows = table[(table["right"] == right) & (table["measure"] == measure) & (table["direction"] == direction)]
    return rows.iloc[0]


def test_by_hand():
    exact = retrieval_scores(SIMILARITY, range(4), range(4), at=(1, 2, 3))
    assert exact["R@1"].tolist() == [1, 0, 0, 1]
    assert exact["R@2"].tolist() == [1, 1, 0, 1]
    assert exact["MRR"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1])


def test_duplicates_are_all_right():
    table = retrieval_table(SIMILARITY, ["a", "b", "c", "d"], KEYS, repeats=50)
    assert of(table, "exact pair", "R@1")["value"] == 2 / 4
    assert of(table, "same key", "R@1")["value"] == 3 / 4
    assert of(table, "same key", "MRR")["value"] == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)


def test_both_directions():
    table = retrieval_table(SIMILARITY, ["a", "b", "c", "d"], KEYS, repeats=50)
    back = of(table, "exact pair", "MRR", "report → image")
    # columns: 0.9 and 0.9 tie for the first (1 and 1/2), 0.8 and 0.8 for the second, then 2nd, then 1st
    assert back["value"] == pytest.approx((0.75 + 0.75 + 1 / 2 + 1) / 4)
    assert of(table, "same key", "R@1", "report → image")["value"] == pytest.approx(3 / 4)


def test_one_score_for_all_is_chance():
    table = retrieval_table(np.ones((50, 50)), range(50), repeats=20)
    assert of(table, "exact pair", "R@1")["value"] == pytest.approx(1 / 50)  # a sort: 1 of its first row
    assert of(table, "exact pair", "R@10")["value"] == pytest.approx(10 / 50)
    assert np.allclose(table["value"], table["chance"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000))
def test_equals_torchmetrics_where_nothing_ties(seed):
    rng = np.random.default_rng(seed)
    similarity = (rng.permutation(40).reshape(5, 8) + 1) / 40  # torchmetrics 1.9 takes a score of 0 for no answer
    keys = rng.integers(0, 3, size=8)
    found = retrieval_scores(similarity[:3], range(3), keys)
    for row, (_, scores) in enumerate(found.iterrows()):
        right = from_numpy(keys == row)
        if not right.any():
            assert scores.isna().all()
            continue
        values = from_numpy(similarity[row])
        assert scores["MRR"] == pytest.approx(retrieval_reciprocal_rank(values, right).item(), abs=1e-6)
        for k in (1, 5):
            assert scores[f"R@{k}"] == retrieval_hit_rate(values, right, top_k=k).item()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_ties_are_means_over_all_orders(items):
    scores, right = np.array([pair[0] for pair in items], float), [pair[1] for pair in items]
    if not any(right):
        return
    ranks = []
    for order in permutations(range(len(items))):
        places = sorted(order, key=lambda place: -scores[place])
        ranks.append(1 + next(n for n, place in enumerate(places) if right[place]))
    ranks = np.array(ranks)
    found = retrieval_scores(scores[None], [True], right, at=(1, 2)).iloc[0]
    assert found["R@1"] == pytest.approx((ranks <= 1).mean())
    assert found["R@2"] == pytest.approx((ranks <= 2).mean())
    assert found["MRR"] == pytest.approx((1 / ranks).mean())


def test_intervals_are_by_patient():
    table = retrieval_table(SIMILARITY, ["a", "a", "b", "b"], KEYS, repeats=500)
    row = of(table, "exact pair", "R@1")
    assert (row["patients"], row["queries"], row["items"]) == (2, 4, 4)
    assert row["low"] == row["high"] == 0.5  # both patients have one of two


@pytest.mark.parametrize(
    ("similarity", "words"),
    [(np.ones((2, 3)), "N rows"), (np.full((2, 2), np.nan), "NaN"), (np.zeros((0, 0)), "a row a query")],
)
def test_what_is_no_similarity_is_refused(similarity, words):
    with pytest.raises(ScanweaveError, match=words):
        retrieval_table(similarity, ["a", "b"])
    with pytest.raises(ScanweaveError, match="1 or more"):
        retrieval_scores(np.ones((1, 1)), ["a"], ["a"], at=(0,))
