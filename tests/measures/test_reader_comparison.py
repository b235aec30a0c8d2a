from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from scanweave.errors import ScanweaveError
from scanweave.measures.operating_points import OperatingPoint, choose_operating_point
from scanweave.measures.paired_calls import compare_calls
from scanweave.measures.proportions import compare_paired_proportions
from scanweave.measures.reader_comparison import compare_with_readers

HALF = OperatingPoint(0.5, "given", 0)
RNG = np.random.default_rng(0)
POSITIVE = np.repeat([1, 0], [40, 80])
SCORES = np.clip(0.35 + 0.3 * POSITIVE + 0.2 * RNG.normal(size=120), 0, 1)
BIRADS = np.clip(np.round(2.6 + 1.4 * POSITIVE + 0.8 * RNG.normal(size=120)), 1, 5)


def table_of(readers, repeats=50, **options):
    return compare_with_readers(POSITIVE, SCORES, HALF, readers, seed=0, repeats=repeats, **options)


def mid_p(fewer, more):
    """Of McNemar's test: two-sided exact, less half the chance of what was seen."""
    exact = binomtest(fewer, fewer + more, 0.5).pvalue
    return exact - math.comb(fewer + more, fewer) * 0.5 ** (fewer + more)


def test_calls_compared_by_hand():
    """20 positives: both right 10, only the first 7, only the second 1, neither 2. 10 negatives: 4, 1, 3, 2."""
    positive = np.repeat([1, 0], [20, 10])
    first = np.repeat([1, 1, 0, 0, 0, 0, 1, 1], [10, 7, 1, 2, 4, 1, 3, 2])
    second = np.repeat([1, 0, 1, 0, 0, 1, 0, 1], [10, 7, 1, 2, 4, 1, 3, 2])
    found = compare_calls(positive, first, second)
    shares = {name: (pair.first.value, pair.second.value, pair.first.n) for name, pair in found.items()}
    assert shares == {
        "sensitivity": (17 / 20, 11 / 20, 20),
        "specificity": (0.5, 0.7, 10),
        "accuracy": (22 / 30, 18 / 30, 30),
    }
    assert found["sensitivity"].comparison.p == pytest.approx(mid_p(1, 7))
    assert found["specificity"].comparison.p == pytest.approx(mid_p(1, 3))
    assert found["accuracy"].comparison.p == pytest.approx(mid_p(4, 8))
    assert found["sensitivity"].comparison.difference.value == pytest.approx(0.3)


def test_an_ordinal_reader_beside_the_model():
    (row,) = table_of({"R1": BIRADS}, cut=4).to_dict("records")
    model, reader = SCORES >= 0.5, BIRADS >= 4
    sick = POSITIVE == 1
    assert (row["reader"], row["patients"], row["positives"], row["not read"]) == ("R1", 120, 40, 0)
    assert row["frozen threshold"] == 0.5
    assert row["frozen sensitivity"] == model[sick].mean()
    assert row["reader specificity"] == 1 - reader[~sick].mean()
    assert row["frozen sensitivity difference"] == pytest.approx(model[sick].mean() - reader[sick].mean())
    more, fewer = sorted([(model & ~reader)[~sick].sum(), (reader & ~model)[~sick].sum()], reverse=True)
    assert row["frozen specificity p"] == pytest.approx(mid_p(fewer, more))
    tango = compare_paired_proportions(model[sick], reader[sick]).difference
    assert row["frozen sensitivity difference low"] == pytest.approx(tango.low)
    assert row["frozen sensitivity difference high"] == pytest.approx(tango.high)
    assert row["frozen sensitivity p Holm"] == row["frozen sensitivity p"]  # of one reader nothing is adjusted


def test_the_matched_threshold_comes_from_validation_alone():
    rng = np.random.default_rng(1)
    truths = np.repeat([1, 0], [50, 200])
    validation = truths, rng.uniform(size=250) + 0.5 * truths
    (row,) = table_of({"R1": BIRADS}, cut=4, validation=validation).to_dict("records")
    assert row["matched on"] == "validation"
    negatives = np.sort(validation[1][truths == 0])
    thresholds = validation[1][[(negatives < t).mean() >= row["reader specificity"] - 1e-12 for t in validation[1]]]
    assert row["matched threshold"] == thresholds.min()
    again = compare_with_readers(
        POSITIVE, SCORES**3, HALF, {"R1": BIRADS}, cut=4, validation=validation, seed=0, repeats=5
    )
    assert again["matched threshold"].item() == row["matched threshold"]
    assert row["matched sensitivity"] == (SCORES[POSITIVE == 1] >= row["matched threshold"]).mean()


def test_without_validation_the_specificities_are_matched_here_and_it_is_said():
    (row,) = table_of({"R1": BIRADS}, cut=4).to_dict("records")
    assert row["matched on"] == "the patients compared"
    assert row["matched specificity"] == pytest.approx(row["reader specificity"])
    by_hand = choose_operating_point(POSITIVE, SCORES, "specificity", row["reader specificity"])
    assert row["matched threshold"] == by_hand.threshold


def test_a_reader_is_compared_on_the_patients_read():
    answers = np.where(np.arange(120) % 3 == 0, np.nan, BIRADS)
    table = table_of({"all": BIRADS, "some": answers}, cut=4)
    read = ~np.isnan(answers)
    alone = compare_with_readers(POSITIVE[read], SCORES[read], HALF, {"some": BIRADS[read]}, cut=4, seed=0, repeats=50)
    assert table.patients.tolist() == [120, 80]
    assert table["not read"].tolist() == [0, 40]
    kept = [name for name in table if name != "not read" and not name.endswith("Holm")]
    assert table[kept].iloc[1].to_dict() == alone[kept].iloc[0].to_dict()


def test_p_is_adjusted_over_the_readers():
    """Holm's by hand: of three p-values in order 3 p, 2 p, p, each at least the one before."""
    rng = np.random.default_rng(2)
    readers = {
        f"R{k}": np.where(rng.uniform(size=120) < share, POSITIVE, 1 - POSITIVE)
        for k, share in enumerate((0.5, 0.6, 0.85))
    }
    table = table_of(readers)
    p = np.sort(table["frozen specificity p"])
    expected = np.minimum(np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]]), 1)
    assert np.sort(table["frozen specificity p Holm"]) == pytest.approx(expected)
    assert table["frozen specificity p Holm"].iloc[0] < 0.05


def test_a_reader_who_calls_everyone_is_matched_by_calling_everyone():
    (row,) = table_of({"R1": np.ones(120)}).to_dict("records")
    assert (row["matched threshold"], row["matched sensitivity"], row["matched specificity"]) == (-math.inf, 1, 0)
    assert row["matched sensitivity p"] == 1


def test_equal_readers_are_seldom_told_apart_at_a_frozen_threshold():
    """Model and reader are equally sensitive (0.8) on 60 positives: of 150 studies 5 % err, at the most 10 %."""
    rng = np.random.default_rng(3)
    truths = np.repeat([1, 0], [60, 2])
    refused = 0
    for _ in range(150):
        model, reader = rng.uniform(size=(2, 62)) < 0.8
        refused += compare_calls(truths, model, reader)["sensitivity"].comparison.p < 0.05
    assert refused <= 15


@pytest.mark.parametrize(
    ("readers", "options", "words"),
    [
        ({}, {}, "readers: there is none"),
        ({"R1": BIRADS}, {}, "R1: it holds values other than 0 and 1"),
        ({"R1": BIRADS[1:]}, {}, r"R1: answers of shape \(119,\) for 120 patients"),
        ({"R1": np.where(POSITIVE, np.nan, 1)}, {}, "R1: has read no positive patient"),
        ({"R1": np.full(120, np.nan)}, {}, "R1: has read no positive patient"),
        ({"R1": ["4A"] * 120}, {"cut": 4}, "R1: not all are numbers"),
        ({"R1": BIRADS}, {"cut": 4, "validation": ([0, 0], [0.1, 0.2])}, "every row is negative"),
        ({"R1": BIRADS}, {"cut": 4, "confidence": 95}, "between 0 and 1"),
        ({"R1": BIRADS}, {"cut": 4, "repeats": 1}, "repeats: 1"),
    ],
)
def test_faults(readers, options, words):
    with pytest.raises(ScanweaveError, match=words):
        table_of(readers, **options)


def test_faults_of_calls():
    with pytest.raises(ScanweaveError, match="every patient is negative"):
        compare_calls([0, 0], [1, 0], [0, 1])
    with pytest.raises(ScanweaveError, match="2 and 3 calls of 2 patients"):
        compare_calls([0, 1], [1, 0], [0, 1, 1])
