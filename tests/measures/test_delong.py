from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import brunnermunzel
from scipy.stats import t as student

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap_measure
from scanweave.measures.classification import auroc
from scanweave.measures.comparisons import Equivalent, NonInferior
from scanweave.measures.delong import auroc_interval, aurocs_with_covariance, compare_aurocs

OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1   3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0   3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1   3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0   2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score, outcome: the 43 complete patients of DeLong et al. 1988, from SAS/STAT."""


@pytest.fixture(scope="module")
def ovarian():
    albumin, protein, score, outcome = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    return outcome, {"albumin": albumin, "protein": protein, "K-G": 10 - score}


def naive(positive, scores):
    """AUROCs and covariance from all pairs, after the definitions in DeLong et al. 1988."""
    psi = []
    for one in scores:
        apart = np.subtract.outer(one[positive], one[~positive])
        psi.append((apart > 0) + 0.5 * (apart == 0))
    v10, v01 = [p.mean(axis=1) for p in psi], [p.mean(axis=0) for p in psi]
    return [p.mean() for p in psi], np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**16), st.integers(2, 12), st.integers(2, 12))
def test_ranks_give_what_all_pairs_give(seed, positives, negatives):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.repeat([True, False], [positives, negatives]))
    scores = rng.integers(0, 6, size=(3, len(positive))).astype(float)
    areas, covariance, n = aurocs_with_covariance(positive, scores)
    expected, spread = naive(positive, scores)
    np.testing.assert_allclose(areas, expected)
    np.testing.assert_allclose(covariance, spread, atol=1e-14)
    assert n == len(positive)


def test_published_areas(ovarian):
    """SAS/STAT 15.1 User's Guide, LOGISTIC, Example 78.8: areas, standard errors and Wald limits."""
    outcome, scores = ovarian
    published = {
        "albumin": (0.7366, 0.0927, 0.5549, 0.9182),
        "protein": (0.6478, 0.1000, 0.4518, 0.8439),
        "K-G": (0.7258, 0.1028, 0.5243, 0.9273),
    }
    for name, (area, error, low, high) in published.items():
        found = auroc_interval(outcome, scores[name], scale="plain")
        assert (found.value, found.low, found.high) == pytest.approx((area, low, high), abs=6e-5)
        assert math.sqrt(aurocs_with_covariance(outcome, [scores[name]])[1][0, 0]) == pytest.approx(error, abs=6e-5)


def test_published_comparisons(ovarian):
    """The same example: contrasts with the K-G score."""
    outcome, scores = ovarian
    published = {"albumin": (0.0108, -0.1761, 0.1976, 0.9102), "protein": (-0.0780, -0.2830, 0.1271, 0.4561)}
    for name, figures in published.items():
        found = compare_aurocs(outcome, scores[name], scores["K-G"])
        interval = found.difference
        assert (interval.value, interval.low, interval.high, found.p) == pytest.approx(figures, abs=6e-5)


@settings(deadline=None)
@given(st.integers(0, 2**16))
def test_nothing_but_order_counts(seed):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.repeat([True, False], [8, 12]))
    first, second = rng.normal(size=(2, 20)) + positive
    plain, shuffled = compare_aurocs(positive, first, second), rng.permutation(20)
    bent = compare_aurocs(positive[shuffled], np.exp(first)[shuffled], (second**3)[shuffled])
    assert bent.p == pytest.approx(plain.p)
    back = compare_aurocs(positive, second, first)
    assert back.p == pytest.approx(plain.p)
    assert (back.difference.low, back.difference.high) == pytest.approx((-plain.difference.high, -plain.difference.low))


def test_rows_of_a_patient_count_once():
    rng = np.random.default_rng(0)
    positive = np.repeat([True, False], [20, 30])
    scores = rng.normal(size=50) + positive
    once = auroc_interval(positive, scores)
    thrice = [np.repeat(column, 3) for column in (positive, scores, np.arange(50))]
    assert astuple(auroc_interval(*thrice)) == pytest.approx(astuple(once))
    sure = auroc_interval(*thrice[:2])
    assert sure.high - sure.low < 0.7 * (once.high - once.low)


def clustered(positive, scores, patients):
    """AUROCs and covariance from all pairs, after Obuchowski 1997: sums over patients, in place of rows."""
    names, areas, gains, losses = np.unique(patients), [], [], []
    for one in scores:
        apart = np.subtract.outer(one[positive], one[~positive])
        psi = (apart > 0) + 0.5 * (apart == 0)
        areas.append(psi.mean())
        gains.append([(psi.mean(axis=1) - areas[-1])[patients[positive] == name].sum() for name in names])
        losses.append([(psi.mean(axis=0) - areas[-1])[patients[~positive] == name].sum() for name in names])
    gains, losses, m, n = np.array(gains), np.array(losses), positive.sum(), (~positive).sum()
    of_both, count, with_m, with_n = (
        gains @ losses.T / (m * n),
        *map(len, map(np.unique, (patients, patients[positive], patients[~positive]))),
    )
    spread = with_m / (with_m - 1) * gains @ gains.T / m**2 + with_n / (with_n - 1) * losses @ losses.T / n**2
    return areas, spread + count / (count - 1) * (of_both + of_both.T)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16))
def test_sums_over_patients_give_what_all_pairs_give(seed):
    rng = np.random.default_rng(seed)
    patients, positive = rng.integers(0, 9, size=50), np.arange(50) < 20
    scores = rng.integers(0, 6, size=(2, 50)) + 0.3 * patients
    areas, covariance, n = aurocs_with_covariance(positive, scores, patients)
    expected, spread = clustered(positive, scores, patients)
    np.testing.assert_allclose(areas, expected)
    np.testing.assert_allclose(covariance, spread, atol=1e-14)
    assert n == len(np.unique(patients))


def test_patients_with_rows_of_both_classes_agree_with_the_bootstrap():
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(150), 4)
    positive = rng.uniform(size=600) < 0.3 + 0.4 * (patients % 2)
    scores = positive + rng.normal(size=150)[patients] + rng.normal(size=600)
    exact = auroc_interval(positive, scores, patients, scale="plain")
    drawn = bootstrap_measure(auroc, [positive, scores], patients, method="percentile", seed=0, repeats=1000)
    rowwise = auroc_interval(positive, scores, scale="plain")
    assert drawn.high - drawn.low == pytest.approx(exact.high - exact.low, rel=0.1)
    assert exact.high - exact.low != pytest.approx(rowwise.high - rowwise.low, rel=0.1)


def test_variance_and_degrees_of_freedom_are_those_of_brunner_and_munzel():
    """Their test of A = 0.5 has the same variance, and the degrees of freedom of the logit interval."""
    rng = np.random.default_rng(2)
    positive = np.repeat([True, False], [7, 40])
    scores = rng.normal(size=47) + positive
    found, (areas, covariance, _) = auroc_interval(positive, scores), aurocs_with_covariance(positive, [scores])
    area, error = areas[0], math.sqrt(covariance[0, 0])
    theirs = brunnermunzel(scores[~positive], scores[positive])
    assert (area - 0.5) / error == pytest.approx(theirs.statistic)
    freedom = brentq(lambda degrees: 2 * student.sf(theirs.statistic, degrees) - theirs.pvalue, 1, 100)
    reach = student.ppf(0.975, freedom) * error / (area * (1 - area))
    assert logit(found.high) - logit(area) == pytest.approx(reach, rel=1e-6)


def test_logit_interval_stays_within_bounds():
    positive, scores = np.repeat([True, False], [5, 5]), np.array([9, 8, 7, 6, 4, 5, 3, 2, 1, 0.0])
    assert auroc_interval(positive, scores, scale="plain").high == 1
    found = auroc_interval(positive, scores)
    assert 0 < found.low < found.value < found.high < 1


@pytest.mark.parametrize(
    ("positive", "scores"),
    [([1, 1, 0, 0], [4, 3, 2, 1]), ([1, 1, 0, 0], [1, 1, 1, 1]), ([1, 0, 0], [2, 1, 3]), ([1, 0], [2, 1])],
    ids=["fully apart", "all equal", "one positive", "one of each"],
)
def test_no_interval_where_nothing_sure_can_be_said(positive, scores):
    found = auroc_interval(positive, scores)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert "no interval" in str(found)


def test_equal_scores_do_not_differ():
    positive, scores = [1, 0, 1, 0, 1], [0.9, 0.3, 0.8, 0.85, 0.2]
    same = compare_aurocs(positive, scores, scores)
    assert same.p == 1
    assert math.isnan(same.difference.low)
    assert math.isnan(compare_aurocs(positive, scores, scores, aim=NonInferior(0.1)).p)


def test_margins_agree_with_the_interval(ovarian):
    outcome, scores = ovarian
    wide = compare_aurocs(outcome, scores["albumin"], scores["K-G"])
    reach = -wide.difference.low
    at_edge = compare_aurocs(outcome, scores["albumin"], scores["K-G"], aim=NonInferior(reach))
    assert at_edge.p == pytest.approx(0.025)
    narrow = compare_aurocs(outcome, scores["albumin"], scores["K-G"], confidence=0.9)
    edge = max(-narrow.difference.low, narrow.difference.high)
    assert compare_aurocs(outcome, scores["albumin"], scores["K-G"], aim=Equivalent(edge)).p == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: auroc_interval([1, 1], [0, 1]), "every row is positive"),
        (lambda: auroc_interval([1, 0], [np.inf, 1]), "NaN or infinity"),
        (lambda: auroc_interval([1, 0], [0, 1], ["a"]), "1 for 2 rows"),
        (lambda: auroc_interval([1, 0, 1], [0, 1, 2], ["a", None, "b"]), "1 rows have none"),
        (lambda: auroc_interval([1, 0], ["high", "low"]), "not all are numbers"),
        (lambda: auroc_interval([1, 0], [0, 1], scale="log"), "log is unknown"),
        (lambda: auroc_interval([1, 0, 1, 0], [0, 1, 2, 3], confidence=95), "between 0 and 1"),
        (lambda: compare_aurocs([1, 0], [0, 1], [0, 1, 2]), "2 rows"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()


FEW = np.array([1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("scores", [[5, 3, 4, 1, 0, 2], [0, 2, 1, 4, 5, 3]])
def test_plain_interval_ends_at_0_and_1(scores):
    """A ± z · SE of few patients goes beyond, where no AUROC can lie; pROC cuts it too."""
    found = auroc_interval(FEW, scores, scale="plain")
    area, spread, _ = aurocs_with_covariance(FEW, [scores])
    reach = 1.96 * math.sqrt(spread[0, 0])
    assert area[0] + reach > 1 or area[0] - reach < 0
    assert 0 <= found.low < found.value < found.high <= 1


def test_difference_of_aurocs_ends_at_1():
    better, worse = [5, 3, 4, 1, 0, 2], [0, 2, 1, 4, 5, 3]
    there, back = compare_aurocs(FEW, better, worse), compare_aurocs(FEW, worse, better)
    assert there.difference.high == 1
    assert back.difference.low == -1
    assert there.difference.low == -back.difference.high
