from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from scanweave.errors import ScanweaveError
from scanweave.measures.calibration import calibration_error, recalibration, reliability


def test_bins_by_hand():
    found = reliability([0, 1, 0, 1, 1], [0.05, 0.05, 0.31, 0.39, 1.0], bins=10)
    assert [(round(one.predicted, 2), one.observed.value, one.observed.n) for one in found] == [
        (0.05, 0.5, 2),
        (0.35, 0.5, 2),
        (1.0, 1.0, 1),
    ]
    assert found[0].observed.low < 0.5 < found[0].observed.high


def test_calibration_error_by_hand():
    assert calibration_error([0, 1, 0, 1, 1], [0.05, 0.05, 0.31, 0.39, 1.0]) == pytest.approx((2 * 0.45 + 2 * 0.15) / 5)
    surest = [[0.7, 0.2, 0.1], [0.7, 0.1, 0.2], [0.1, 0.0, 0.9]]
    assert calibration_error([0, 1, 2], surest) == pytest.approx((2 * 0.2 + 1 * 0.1) / 3)


def test_published_calibration_errors():
    """TorchMetrics 1.9, examples of `binary_calibration_error` (2 bins) and `multiclass_calibration_error` (3)."""
    assert calibration_error([0, 0, 1, 1, 1], [0.25, 0.25, 0.55, 0.75, 0.75], bins=2) == pytest.approx(0.29)
    shares = [[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]
    assert calibration_error([0, 1, 2, 0], shares, bins=3) == pytest.approx(0.2)


@pytest.mark.parametrize(("spacing", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_curve_is_that_of_scikit_learn(spacing, strategy):
    """But for what lies on an edge, which goes up here and down there."""
    rng = np.random.default_rng(2)
    shares = rng.uniform(size=200) ** 2
    positive = rng.uniform(size=200) < shares
    found = reliability(positive, shares, 7, spacing)
    observed, predicted = calibration_curve(positive, shares, n_bins=7, strategy=strategy)
    assert [one.observed.value for one in found] == pytest.approx(observed)
    assert [one.predicted for one in found] == pytest.approx(predicted)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=50),
    st.integers(1, 12),
    st.sampled_from(["width", "mass"]),
    st.randoms(use_true_random=False),
)
def test_every_row_is_in_one_bin_whatever_the_order(rows, bins, spacing, random):
    positive, shares = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 20
    found = reliability(positive, shares, bins, spacing)
    assert len(found) <= bins
    assert sum(one.observed.n for one in found) == len(rows)
    assert sum(one.observed.n * one.observed.value for one in found) == pytest.approx(positive.sum())
    assert [one.predicted for one in found] == sorted(one.predicted for one in found)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = reliability(positive[order], shares[order], bins, spacing)
    assert [one.observed for one in again] == [one.observed for one in found]


def test_equal_mass_fills_bins_evenly():
    shares = np.random.default_rng(0).uniform(size=1000) ** 4
    positive = shares > 0.1
    assert {one.observed.n for one in reliability(positive, shares, 10, "mass")} == {100}
    assert max(one.observed.n for one in reliability(positive, shares, 10)) > 500


def test_overconfidence_is_seen_and_honesty_is_not_punished():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.2, 0.8, size=20_000)
    positive = rng.uniform(size=20_000) < truth
    extreme = np.clip(3 * (truth - 0.5) + 0.5, 0, 1)
    for spacing in ("width", "mass"):
        assert calibration_error(positive, truth, 10, spacing) < 0.4 * np.sqrt(10 / 20_000) + 0.005
        assert calibration_error(positive, extreme, 10, spacing) > 0.15


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reliability([0, 1], [0.5, 1.5]), "between 0 and 1"),
        (lambda: reliability([0, 1], [0.5, np.nan]), "NaN"),
        (lambda: reliability([0, 1], [0.5]), "2 rows"),
        (lambda: reliability([0, 1], [0.5, 0.6], bins=0), "bins"),
        (lambda: reliability([0, 1], [0.5, 0.6], spacing="log"), "log is unknown"),
        (lambda: reliability([], []), "N ≥ 1"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()


@pytest.fixture(scope="module")
def overfitted():
    """Outcomes, probabilities of twice the true logits and half a unit too low, and patients of two rows."""
    rng = np.random.default_rng(5)
    true = rng.normal(-0.5, 1, 600)
    return rng.random(600) < expit(true), expit(2 * (true - 0.5)), np.arange(600) // 2


def sandwich(design, truths, fitted, owner=None):
    """Standard errors of a logistic regression: from the information alone, or with patients between (Huber 1967)."""
    bread = np.linalg.inv(design.T @ (design * (fitted * (1 - fitted))[:, None]))
    if owner is None:
        return np.sqrt(np.diag(bread))
    scores = design * (truths - fitted)[:, None]
    sums = np.stack([np.bincount(owner, column) for column in scores.T], axis=1)
    n, groups, width = len(truths), len(sums), design.shape[1]
    small = groups / (groups - 1) * (n - 1) / (n - width)
    return np.sqrt(np.diag(small * bread @ (sums.T @ sums) @ bread))


@pytest.mark.parametrize("grouped", [False, True])
def test_slope_and_intercept_are_those_of_logistic_regression(overfitted, grouped):
    truths, shares, patients = overfitted
    owner = patients if grouped else None
    found = recalibration(truths, shares, owner)
    logits = logit(shares)
    regression = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], truths)
    assert found.slope.value == pytest.approx(regression.coef_[0, 0], rel=1e-5)
    shift = brentq(lambda a: (expit(a + logits) - truths).sum(), -5, 5)
    assert found.intercept.value == pytest.approx(shift, rel=1e-6)
    design = np.stack([logits, np.ones(len(logits))], axis=1)
    slope_error = sandwich(design, truths, regression.predict_proba(logits[:, None])[:, 1], owner)[0]
    shift_error = sandwich(design[:, 1:], truths, expit(shift + logits), owner)[0]
    for one, error in ((found.slope, slope_error), (found.intercept, shift_error)):
        assert one.high - one.value == pytest.approx(1.959964 * error, rel=1e-4)
        assert one.value - one.low == pytest.approx(1.959964 * error, rel=1e-4)
        assert one.n == (300 if grouped else 600)


def test_overfitted_probabilities_have_a_slope_below_1(overfitted):
    truths, shares, _ = overfitted
    found = recalibration(truths, shares)
    assert found.slope.low < 0.5 < found.slope.high < 1
    assert found.intercept.low > 0
    mended = recalibration(truths, expit(found.slope.value * logit(shares)))
    assert mended.slope.value == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_told_is_nan():
    apart = recalibration([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    assert np.isnan([apart.slope.value, apart.slope.low]).all()  # any slope is too low
    assert np.isfinite(apart.intercept.value)
    equal = recalibration([0, 0, 1, 1], [0.2, 0.2, 0.2, 0.2])
    assert np.isnan(equal.slope.value)
    assert equal.intercept.value == pytest.approx(logit(0.5) - logit(0.2))
    assert np.isnan(recalibration([0, 1, 0, 1], [0.2, 0.4, 0.5, 0.3], ["a"] * 4).slope.low)
    with pytest.raises(ScanweaveError, match="every row is positive"):
        recalibration([1, 1], [0.2, 0.4])


def test_certainty_has_a_slope():
    """0 and 1, as float32 makes of sure logits, count as the nearest number beside them."""
    truths, shares = [0, 1, 0, 1, 0, 1], [0.0, 1.0, 0.3, 0.6, 0.7, 0.4]
    found = recalibration(truths, shares)
    assert 0 < found.slope.value < 1
    assert found.slope.low < found.slope.value < found.slope.high
