from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_rel
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from scanweave.errors import ScanweaveError
from scanweave.measures.comparisons import Equivalent, NonInferior, compare_means, compare_resampled, holm

SLEEP = (
    np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]),
    np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]),
)
"""Hours of sleep gained by ten patients under two drugs (Cushny & Peebles 1905, Student 1908)."""


def test_student_s_sleep():
    """Student 1908: t = 4.06 with 9 degrees of freedom; R prints p = 0.002833 and −2.4598858 to −0.7001142."""
    found = compare_means(*SLEEP)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.difference.value, found.difference.low, found.difference.high) == pytest.approx(
        (-1.58, -2.4598858, -0.7001142)
    )
    assert found.difference.n == 10
    assert str(found) == "-1.58 [-2.46, -0.7] (n = 10), different: p = 0.0028"


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=20))
def test_agrees_with_scipy(rows):
    first, second = np.array(rows).T
    if np.ptp(first - second) < 1e-6:
        return
    assert compare_means(first, second).p == pytest.approx(ttest_rel(first, second).pvalue)
    for margin in (0.5, 3.0):
        above = ttest_rel(first + margin, second, alternative="greater").pvalue
        below = ttest_rel(first - margin, second, alternative="less").pvalue
        assert compare_means(first, second, NonInferior(margin)).p == pytest.approx(above)
        assert compare_means(first, second, Equivalent(margin)).p == pytest.approx(max(above, below))


def test_p_and_interval_say_the_same():
    found = compare_means(*SLEEP)
    assert compare_means(*SLEEP, NonInferior(-found.difference.low)).p == pytest.approx(0.025)
    narrow = compare_means(*SLEEP, confidence=0.9).difference
    assert compare_means(*SLEEP, Equivalent(-narrow.low)).p == pytest.approx(0.05)
    assert "not worse by 3" in str(compare_means(*SLEEP, NonInferior(3)))
    assert "within ±3" in str(compare_means(*SLEEP, Equivalent(3)))


def test_absent_figures_are_left_out():
    first, second = np.append(SLEEP[0], [np.nan, 1]), np.append(SLEEP[1], [1, np.nan])
    assert compare_means(first, second) == compare_means(*SLEEP)


@pytest.mark.parametrize(("first", "p"), [([3.0], math.nan), ([0.1 + 0.2, 0.3], 1), ([1.3, 1.3], math.nan)])
def test_no_spread_tells_nothing(first, p):
    found = compare_means(first, [0.3] * len(first))
    assert math.isnan(found.difference.low)
    assert found.p == pytest.approx(p, nan_ok=True)


def test_published_corrected_resampled_t():
    """scikit-learn 1.9, "Statistical comparison of models using grid search": t = 0.750, one-sided p = 0.227."""
    features, classes = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    curved, straight = (
        cross_val_score(SVC(kernel=kernel), features, classes, cv=folds, scoring="roc_auc")
        for kernel in ("rbf", "linear")
    )
    found = compare_resampled(curved - straight, train=90, test=10)
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)
    assert t.isf(found.p / 2, 99) == pytest.approx(0.750, abs=5e-4)


def test_corrected_resampled_t_by_hand():
    """Nadeau & Bengio 2003: the variance of the mean is (1 / J + test / train) s², not s² / J."""
    differences = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    spread = math.sqrt((1 / 5 + 20 / 80) * differences.var(ddof=1))
    found = compare_resampled(differences, train=80, test=20)
    assert found.p == pytest.approx(2 * t.sf(0.014 / spread, 4))
    assert found.difference.high == pytest.approx(0.014 + t.ppf(0.975, 4) * spread)
    assert found.difference.n == 100
    assert found.p > compare_means(differences, np.zeros(5)).p


def test_more_splits_do_not_make_it_sure():
    differences = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    often = compare_resampled(np.tile(differences, 200), train=80, test=20)
    assert compare_means(np.tile(differences, 200), np.zeros(1000)).p < 1e-100
    assert often.p > 0.01


def test_holm_by_hand():
    """Smallest times 3, next times 2, and so on, never below the one before."""
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])


def test_published_holm():
    """SAS/STAT 13.2 User's Guide, MULTTEST, Example 67.5: of 24 tests one is below 1 when adjusted, 0.8395."""
    values = """
    0.28282 0.30688 0.71022 0.77175 0.78180 0.88581 0.54685 0.84978 0.24228 0.58977 0.03498 0.41607
    0.31631 0.05254 0.45061 0.75758 0.12496 0.49485 0.21572 0.50505 0.94372 0.81260 0.77596 0.36889
    """
    found = holm([float(value) for value in values.split()])
    assert found[10] == pytest.approx(0.8395, abs=5e-5)
    assert (np.delete(found, 10) == 1).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compare_means([1.0], [1.0, 2.0]), "against"),
        (lambda: compare_means([np.inf, 1.0], [np.inf, 2.0]), "infinite"),
        (lambda: compare_means(["good"], [1.0]), "not all are numbers"),
        (lambda: compare_means([np.nan], [1.0]), "no patient has both"),
        (lambda: compare_means([1.0, 2.0], [0.0, 0.0], confidence=95), "between 0 and 1"),
        (lambda: compare_resampled([], 80, 20), "differences"),
        (lambda: compare_resampled([0.1, np.nan], 80, 20), "differences"),
        (lambda: compare_resampled([0.1, 0.2], 80, 0), "80 and 0 patients"),
        (lambda: holm([]), "p_values"),
        (lambda: holm([0.1, np.nan]), "p_values"),
        (lambda: NonInferior(0.0), "margin"),
        (lambda: Equivalent(-1.0), "margin"),
        (lambda: Equivalent(math.nan), "margin"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
