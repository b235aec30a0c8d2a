from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from scanweave.errors import ScanweaveError
from scanweave.measures.biopsy_sparing import ScoredStudies, biopsy_sparing

VALIDATION = ScoredStudies([0, 0, 0, 1, 0, 1, 1, 1, 1, 1], np.arange(10) / 10)
TEST = ScoredStudies(
    np.repeat([0, 1, 0, 1], [12, 1, 18, 19]), np.concatenate([np.full(13, 0.2), np.full(37, 0.6)]), range(50)
)
"""13 lie below the threshold of 0.3, one of them with cancer."""


def test_counts_by_hand():
    (found,) = biopsy_sparing(VALIDATION, TEST, targets=[1.0], seed=0, repeats=100)
    assert (found.point.threshold, found.point.rows, found.on_validation.value, found.on_validation.n) == (
        0.3,
        10,
        1,
        6,
    )
    values = {
        "spared": (13, 50),
        "spared_benign": (12, 30),
        "missed": (1, 20),
        "npv": (12, 13),
        "sensitivity": (19, 20),
    }
    for name, (hits, of) in values.items():
        share = getattr(found, name)
        assert (share.value, share.n) == (pytest.approx(hits / of), of)
        assert binom.sf(hits - 1, of, share.low) == pytest.approx(0.025)
        assert binom.cdf(hits, of, share.high) == pytest.approx(0.025)
    assert found.missed_count == 1
    assert binom.cdf(1, 20, found.missed_at_most) == pytest.approx(0.05)


def test_where_none_is_missed_the_bound_is_that_of_the_rule_of_three():
    """1 − 0.05^(1/n), some 3/n (Hanley & Lippman-Hand 1983)."""
    test = ScoredStudies(np.repeat([0, 1], [100, 60]), np.repeat([0.1, 0.9], [100, 60]))
    (found,) = biopsy_sparing(VALIDATION, test, targets=[1.0], seed=0, repeats=10)
    assert found.missed_at_most == pytest.approx(1 - 0.05 ** (1 / 60))
    assert found.missed_at_most == pytest.approx(3 / 60, rel=0.05)
    assert found.npv.low == pytest.approx(0.025 ** (1 / 100))


def test_a_lower_target_gives_the_highest_threshold_that_keeps_it():
    rng = np.random.default_rng(0)
    positive = np.repeat([1, 0], [100, 300])
    validation = ScoredStudies(positive, np.concatenate([rng.normal(1.5, 1, 100), rng.normal(0, 1, 300)]))
    test = ScoredStudies(positive, np.concatenate([rng.normal(1.5, 1, 100), rng.normal(0, 1, 300)]))
    found = biopsy_sparing(validation, test, seed=0, repeats=10)
    cancers = np.sort(np.asarray(validation.scores)[:100])
    assert [one.point.threshold for one in found] == [cancers[0], cancers[1], cancers[2]]  # 100, 99 and 98 of 100
    spared = [one.spared.value for one in found]
    assert spared == [np.mean(np.asarray(test.scores) < threshold) for threshold in cancers[:3]]
    assert spared[0] < spared[2]


def test_net_benefit_against_a_biopsy_for_everyone():
    """Spared benign biopsies are worth t / (1 − t) each, a missed cancer costs 1 (Vickers & Elkin 2006)."""
    (found,) = biopsy_sparing(VALIDATION, TEST, targets=[1.0], risks=[0.02, 0.1], seed=0, repeats=200)
    for one, risk in zip(found.net_benefits, (0.02, 0.1), strict=True):
        assert one.against_all.value == pytest.approx(12 / 50 * risk / (1 - risk) - 1 / 50)
        assert one.model.value == pytest.approx(19 / 50 - 18 / 50 * risk / (1 - risk))
        assert one.against_all.low < one.against_all.value < one.against_all.high
    assert found.net_benefits[0].against_all.value < 0 < found.net_benefits[1].against_all.value


def test_a_patient_is_spared_only_if_all_its_studies_are():
    """Of a: 0.1 and 0.7, of b: 0.1 and 0.2 (with cancer in one), c and d: one study each."""
    test = ScoredStudies([0, 0, 0, 1, 0, 1], [0.1, 0.7, 0.1, 0.2, 0.1, 0.9], np.array(["a", "a", "b", "b", "c", "d"]))
    (patients,) = biopsy_sparing(VALIDATION, test, targets=[1.0], seed=0, repeats=50)
    assert (patients.spared.value, patients.spared.n, patients.missed_count) == (0.5, 4, 1)
    assert (patients.spared_benign.value, patients.spared_benign.n, patients.npv.value) == (0.5, 2, 0.5)
    (studies,) = biopsy_sparing(VALIDATION, test, "study", targets=[1.0], seed=0, repeats=50)
    assert (studies.spared.value, studies.spared.n, studies.missed_count) == (4 / 6, 6, 1)
    assert (studies.unit, studies.npv.value) == ("study", 3 / 4)
    assert math.isnan(studies.missed_at_most)  # two studies of one patient are not independent
    assert math.isnan(studies.npv.low)
    assert not math.isnan(patients.npv.low)
    assert studies.net_benefits[0].model.n == 4


def test_validation_counts_by_the_same_unit():
    twice = ScoredStudies([1, 1, 0, 1], [0.2, 0.8, 0.1, 0.6], ["a", "a", "b", "c"])
    by_unit = {
        unit: biopsy_sparing(twice, TEST, unit, targets=[1.0], seed=0, repeats=10)[0] for unit in ("patient", "study")
    }
    assert {unit: found.point.threshold for unit, found in by_unit.items()} == {"patient": 0.6, "study": 0.2}


def test_where_none_is_spared_there_is_no_npv():
    (found,) = biopsy_sparing(VALIDATION, ScoredStudies([0, 1], [0.5, 0.6]), targets=[1.0], seed=0, repeats=10)
    assert (found.spared.value, found.npv.n) == (0, 0)
    assert math.isnan(found.npv.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: biopsy_sparing(ScoredStudies([0, 0], [0.1, 0.2]), TEST, seed=0),
            "validation: positive: every study is n",
        ),
        (
            lambda: biopsy_sparing(VALIDATION, ScoredStudies([1, 1], [0.1, 0.2]), seed=0),
            "test: positive: every study is p",
        ),
        (
            lambda: biopsy_sparing(VALIDATION, ScoredStudies([1, 0], [0.1, np.nan]), seed=0),
            "test: scores: it holds NaN",
        ),
        (
            lambda: biopsy_sparing(ScoredStudies([1, np.nan], [0.1, 0.2]), TEST, seed=0),
            "validation: positive: it holds",
        ),
        (
            lambda: biopsy_sparing(VALIDATION, ScoredStudies([1, 0], [0.1, 0.2], "aa"), seed=0),
            "every patient has cancer",
        ),
        (lambda: biopsy_sparing(VALIDATION, ScoredStudies([1, 0], [0.1, 0.2], "a"), seed=0), "test: patients: 1 for 2"),
        (
            lambda: biopsy_sparing(ScoredStudies([0, 1], [0.1, 0.2], [49, 50]), TEST, seed=0),
            "test: patients: 1 are in validation, too",
        ),
        (lambda: biopsy_sparing(VALIDATION, TEST, "breast", seed=0), "breast is unknown"),
        (lambda: biopsy_sparing(VALIDATION, TEST, targets=[99], seed=0), "target"),
        (lambda: biopsy_sparing(VALIDATION, TEST, risks=[2], seed=0), "thresholds"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
