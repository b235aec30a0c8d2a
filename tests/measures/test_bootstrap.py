from __future__ import annotations

import math

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap, paired_difference, patient_counts


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
