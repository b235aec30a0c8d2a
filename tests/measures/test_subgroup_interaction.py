from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.delong import auroc_interval
from scanweave.measures.subgroup_interaction import auroc_differences, subgroup_aurocs


def cochran(levels, positive, scores):
    """Return Q from all pairs of a positive and a negative row (DeLong et al. 1988, eq. 1 to 6; Cochran 1954)."""
    areas, weights = [], []
    for level in np.unique(levels):
        of = scores[(levels == level) & (positive == 1)], scores[(levels == level) & (positive == 0)]
        psi = (of[0][:, None] > of[1]) + 0.5 * (of[0][:, None] == of[1])
        variance = sum(psi.mean(axis=axis).var(ddof=1) / psi.shape[1 - axis] for axis in (0, 1))
        areas.append(psi.mean())
        weights.append(1 / max(variance, 2 / psi.size**2))
    return np.sum(weights * (areas - np.average(areas, weights=weights)) ** 2)


def study(rng, shift=(1.0, 1.0), spread=(1.0, 1.0), offset=0.0):
    """Return levels, patients, truths and scores: 25 positives and 60 negatives, and 40 and 30 at the second level."""
    positive = np.repeat([1, 0, 1, 0], [25, 60, 40, 30])
    levels = np.repeat([0, 1], [85, 70])
    scores = np.array(shift)[levels] * positive + rng.normal(size=155)
    return levels, range(155), positive, offset * levels + np.array(spread)[levels] * scores


def test_p_is_the_share_of_all_exchanges():
    """Six positives and six negatives, three of each a level: 20 · 20 exchanges."""
    levels, positive = np.tile([0, 0, 0, 1, 1, 1], 2), np.repeat([1, 0], 6)
    scores = np.random.default_rng(0).normal(size=12) + positive * (1 - levels)
    observed, p = auroc_differences(levels, range(12), positive, scores, seed=0, permutations=4000)
    assert observed == pytest.approx(cochran(levels, positive, scores))
    every = [
        cochran(np.where(np.isin(np.arange(12), ups + downs), 0, 1), positive, scores)
        for ups in combinations(range(6), 3)
        for downs in combinations(range(6, 12), 3)
    ]
    expected = np.mean(np.array(every) >= observed - 1e-9)
    assert 0.05 < expected < 0.95
    assert p == pytest.approx(expected, abs=0.025)  # three standard errors


@pytest.mark.parametrize("spread", [(1, 1), (1, 3)], ids=["alike", "other scores, same AUROC"])
def test_equal_aurocs_are_told_apart_as_often_as_p_says(spread):
    """Of 80 studies one in five has p ≤ 0.2, give or take three standard errors; 1,500 had 5.5 % with p ≤ 0.05."""
    rng = np.random.default_rng(1)
    studies = [study(rng, spread=spread, offset=spread[1] - 1) for _ in range(80)]
    p = [auroc_differences(*one, seed=seed, permutations=39)[1] for seed, one in enumerate(studies)]
    assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.134)


def test_other_aurocs_are_found():
    rng = np.random.default_rng(1)
    p = [auroc_differences(*study(rng, shift=(2.5, 0.5)), seed=seed, permutations=99)[1] for seed in range(10)]
    assert max(p) <= 0.05
    assert min(p) == 1 / 100  # never 0


def test_patients_exchange_their_rows_together():
    """Rows of one patient that are copies say nothing new: Q and p stay as they are."""
    levels, patients, positive, scores = study(np.random.default_rng(2), shift=(1.5, 0.9))
    once = auroc_differences(levels, patients, positive, scores, seed=0, permutations=500)
    thrice = [np.repeat(column, 3) for column in (levels, patients, positive, scores)]
    by_patient = auroc_differences(*thrice, seed=0, permutations=500)
    assert by_patient[0] == pytest.approx(once[0], rel=0.05)
    assert by_patient[1] == pytest.approx(once[1], abs=0.05)
    by_row = auroc_differences(thrice[0], range(len(thrice[0])), *thrice[2:], seed=0, permutations=500)
    assert by_row[0] > 2.5 * once[0]


def test_levels_whose_classes_do_not_overlap_can_be_compared():
    levels, positive = np.repeat([0, 1], 40), np.tile([0, 1], 40)
    scores = positive + np.where(levels == 0, 0.0, np.random.default_rng(3).normal(size=80))
    q, p = auroc_differences(levels, range(80), positive, scores, seed=0, permutations=99)
    assert np.isfinite(q)
    assert p == 1 / 100


def test_the_table_and_the_tests():
    rng = np.random.default_rng(4)
    positive = np.arange(300) % 2
    site = np.repeat(["a", "b", "c", None], [140, 120, 16, 24])  # c has 8 positives
    sex = rng.choice(["f", "m"], 300)
    scores = rng.normal(size=300) + positive * np.where(site == "a", 3.0, 0.3)
    groups = {"site": site, "sex": sex, "country": ["x"] * 300}
    table, tests = subgroup_aurocs(groups, range(300), positive, scores, seed=0, permutations=199)
    hidden = table.set_index(["variable", "level"])["hidden"]
    assert hidden["site", "c"]
    assert not hidden["site", "a"]
    line = table[table.level == "a"].squeeze()
    expected = auroc_interval(positive[site == "a"], scores[site == "a"])
    assert (line.value, line.low, line.high, line.positives) == (expected.value, expected.low, expected.high, 70)
    tests = tests.set_index("variable")
    assert tests.levels.to_dict() == {"site": 2, "sex": 2, "country": 1}
    assert tests.patients["site"] == 260
    assert tests.p["site"] == 1 / 200
    assert tests["p Holm"]["site"] == pytest.approx(2 / 200)  # two variables can be tested
    assert tests.p["sex"] > 0.05
    assert np.isnan(tests.p["country"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: auroc_differences([0] * 4, range(4), [0, 1, 0, 1], [1, 2, 3, 4], seed=0), "levels: there is one only"),
        (
            lambda: auroc_differences([0, 0, 1, 1], range(4), [0, 1, 1, 1], [1, 2, 3, 4], seed=0),
            "every row is positive",
        ),
        (lambda: auroc_differences([0, 1], range(4), [0, 1, 0, 1], [1, 2, 3, 4], seed=0), "levels: 2 for 4 rows"),
        (
            lambda: auroc_differences([0, 0, 1, 1], range(4), [0, 1, 0, 1], [1, 2, 3, 4], seed=0, permutations=0),
            "permutations: 0",
        ),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()


def test_one_patient_alone_of_a_class_leaves_it_open():
    assert np.isnan(auroc_differences([0, 0, 1, 1], range(4), [0, 1, 0, 1], [1, 2, 3, 4], seed=0)).all()
