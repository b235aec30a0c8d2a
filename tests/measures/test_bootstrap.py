from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import (
    bootstrap,
    bootstrap_means,
    bootstrap_measure,
    paired_difference,
    patient_counts,
)
from scanweave.measures.classification import auroc


def clustered(rng, patients, rows=4, spread=1.0):
    effect = np.repeat(rng.normal(size=patients) * spread, rows)
    return effect + 0.3 * rng.normal(size=patients * rows), np.repeat(np.arange(patients), rows)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits, naive = 0, 0
    for seed in range(300):
        values, patients = clustered(rng, 12)
        found = bootstrap(values, patients, seed=seed, repeats=400)
        hits += found.low <= 0 <= found.high
        rowwise = bootstrap(values, np.arange(len(values)), seed=seed, repeats=400)
        naive += rowwise.low <= 0 <= rowwise.high
    assert 0.91 <= hits / 300 <= 0.98
    assert naive / 300 < 0.8  # rows as if they were patients: far too sure


def test_rows_of_a_patient_move_together():
    once = bootstrap([1.0, 2.0, 4.0], ["a", "b", "c"], seed=3)
    thrice = bootstrap(np.repeat([1.0, 2.0, 4.0], 3), np.repeat(["a", "b", "c"], 3), seed=3)
    assert thrice == once


def test_other_statistics_agree_with_the_fast_mean():
    rng = np.random.default_rng(1)
    values, patients = rng.normal(size=50), rng.integers(0, 9, size=50)
    fast = bootstrap(values, patients, seed=5, repeats=300)
    slow = bootstrap(values, patients, lambda rows: rows.sum() / len(rows), seed=5, repeats=300)
    assert (slow.low, slow.high) == pytest.approx((fast.low, fast.high))
    median = bootstrap(values, patients, np.median, seed=5, repeats=300)
    assert median.low <= median.value <= median.high


def test_one_patient_has_no_interval_and_says_so():
    found = bootstrap([1.0, 2.0, 3.0], ["a"] * 3, seed=0)
    assert found.value == 2.0
    assert found.n == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert "no interval" in str(found)


def test_absent_values_are_left_out_and_not_counted():
    found = bootstrap([1.0, np.nan, 3.0, np.nan], ["a", "a", "b", "c"], seed=0)
    assert found.value == 2.0
    assert found.n == 2


def test_pairs_are_much_surer_than_two_samples():
    rng = np.random.default_rng(2)
    first, patients = clustered(rng, 20, spread=5.0)
    second = first - 1 + 0.1 * rng.normal(size=len(first))
    found = paired_difference(first, second, patients, seed=0)
    assert 0.9 < found.low < found.value < found.high < 1.1
    median = paired_difference(first, second, patients, np.median, seed=0, repeats=300)
    assert median.value == pytest.approx(np.median(first) - np.median(second))


def test_same_seed_same_interval():
    values, patients = clustered(np.random.default_rng(3), 8)
    assert bootstrap(values, patients, seed=1) == bootstrap(values, patients, seed=1)
    assert bootstrap(values, patients, seed=1) != bootstrap(values, patients, seed=2)


def test_counts_draw_as_many_patients_as_there_are():
    counts = patient_counts(7, 100, seed=0)
    assert counts.shape == (100, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_faults():
    with pytest.raises(ScanweaveError, match="patients"):
        bootstrap([1.0, 2.0], ["a"], seed=0)
    with pytest.raises(ScanweaveError, match="none"):
        bootstrap([np.nan], ["a"], seed=0)
    with pytest.raises(ScanweaveError, match="rows"):
        paired_difference([1.0, 2.0], [1.0], ["a", "b"], seed=0)
    with pytest.raises(ScanweaveError, match="2 rows have none"):
        bootstrap([1.0, 2.0, 3.0], ["a", None, float("nan")], seed=0)
    with pytest.raises(ScanweaveError, match="confidence: 95"):
        bootstrap([1.0, 2.0], ["a", "b"], seed=0, confidence=95)
    with pytest.raises(ScanweaveError, match="repeats: 0"):
        bootstrap([1.0, 2.0], ["a", "b"], seed=0, repeats=0)
    with pytest.raises(ScanweaveError, match="not all are numbers"):
        bootstrap(["good", "bad"], ["a", "b"], seed=0)


def test_published_bca():
    """Spatial test data A, Efron & Tibshirani 1993, Table 14.2: variance 171.5, 90 % BCa interval 115.8 to 259.6."""
    values = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41]
    as_theirs = 2 * student.cdf(norm.ppf(0.95) * math.sqrt(25 / 26), 25) - 1  # undoes our widening for few patients
    found = bootstrap_measure(np.var, [values], range(26), seed=0, repeats=20_000, confidence=as_theirs)
    assert found.value == pytest.approx(171.5, abs=0.05)
    assert (found.low, found.high) == pytest.approx((115.8, 259.6), rel=0.02)
    plain = bootstrap_measure(
        np.var, [values], range(26), method="percentile", seed=0, repeats=20_000, confidence=as_theirs
    )
    assert (plain.low, plain.high) == pytest.approx((100.8, 233.9), rel=0.02)


def test_measures_of_columns_agree_with_values():
    values, patients = clustered(np.random.default_rng(4), 15)
    one = bootstrap(values, patients, np.median, seed=0, repeats=3000)
    other = bootstrap_measure(np.median, [values], patients, method="percentile", seed=0, repeats=3000)
    assert other.value == one.value
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.15)
    assert other.n == 15


def test_rows_of_a_patient_move_together_in_measures_too():
    values, patients = np.array([1.0, 2.0, 4.0, 7.0]), np.array(["a", "b", "c", "d"])
    for method in ("bca", "percentile"):
        once = bootstrap_measure(np.mean, [values], patients, method=method, seed=3, repeats=300)
        thrice = bootstrap_measure(np.mean, [values.repeat(3)], patients.repeat(3), method=method, seed=3, repeats=300)
        assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_a_rare_class_needs_strata():
    positive, scores = np.arange(30) < 3, np.r_[2.0, 0.4, 1.5, np.linspace(-2, 1.9, 27)]
    with pytest.raises(ScanweaveError, match="strata: a resample cannot be measured: positive: every row is negative"):
        bootstrap_measure(auroc, [positive, scores], range(30), seed=0, repeats=500)
    found = bootstrap_measure(auroc, [positive, scores], range(30), strata=positive, seed=0, repeats=500)
    assert found.low < found.value < found.high


def test_strata_of_a_shuffled_table_are_taken_by_place():
    table = pd.DataFrame({"patient": range(40), "positive": np.arange(40) < 9})
    table["score"] = np.random.default_rng(7).normal(size=40) + table["positive"]
    shuffled = table.sample(frac=1, random_state=0)
    columns = [shuffled[name] for name in ("positive", "score", "patient", "positive")]
    found, plain = (
        bootstrap_measure(auroc, [positive, score], patient, strata=strata, seed=0, repeats=300)
        for positive, score, patient, strata in (columns, [column.to_numpy() for column in columns])
    )
    assert found == plain


def test_a_difference_of_measures_is_a_measure():
    rng = np.random.default_rng(5)
    positive = np.arange(80) < 30
    good, bad = rng.normal(size=(2, 80)) + np.outer([2.0, 0.5], positive)
    found = bootstrap_measure(
        lambda y, a, b: auroc(y, a) - auroc(y, b),
        [positive, good, bad],
        range(80),
        strata=positive,
        seed=0,
        repeats=500,
    )
    assert found.value == pytest.approx(auroc(positive, good) - auroc(positive, bad))
    assert 0 < found.low < found.high


def test_no_interval_where_resampling_tells_nothing():
    alone = bootstrap_measure(np.mean, [[1.0, 2.0]], ["a", "a"], seed=0)
    lonely = bootstrap_measure(np.mean, [[1.0, 2.0, 3.0]], ["a", "b", "c"], strata=[0, 0, 1], seed=0)
    constant = bootstrap_measure(np.mean, [[1.0, 1.0, 1.0]], ["a", "b", "c"], seed=0, repeats=50)
    for found in (alone, lonely, constant):
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_means_of_columns_share_their_resamples():
    values, patients = clustered(np.random.default_rng(6), 10)
    found = bootstrap_means(np.stack([values, -values, values + 1], axis=1), patients, seed=2, repeats=200)
    assert astuple(found[0]) == pytest.approx(astuple(bootstrap(values, patients, seed=2, repeats=200)))
    assert (found[1].low, found[1].high) == pytest.approx((-found[0].high, -found[0].low))
    assert found[2].low == pytest.approx(found[0].low + 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": [[1.0, 2.0, 3.0]]}, "3 rows for 2 patients"),
        ({"method": "basic"}, "basic is unknown"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"strata": [1]}, "1 for 2 rows"),
        ({"patients": ["a", "a"], "strata": [0, 1]}, "belongs to several"),
        ({"columns": [[]], "patients": []}, "there is none"),
        ({"patients": ["a", None]}, "1 rows have none"),
        ({"strata": [1, np.nan]}, "1 rows have none"),
        ({"repeats": 0}, "repeats: 0"),
    ],
)
def test_faults_of_measures(options, words):
    settings = {"columns": [[1.0, 2.0]], "patients": ["a", "b"], "seed": 0} | options
    with pytest.raises(ScanweaveError, match=words):
        bootstrap_measure(np.mean, **settings)


def test_means_of_absent_values_are_refused():
    with pytest.raises(ScanweaveError, match="NaN"):
        bootstrap_means([[1.0, np.nan]], ["a"], seed=0)
