"""Readers who tell made from real: figures by hand, and intervals that hold what they should."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from scanweave.errors import ScanweaveError
from scanweave.measures.reading import Readings, agreement, auroc, d_prime, repeated, summarise_readings


def simulated(rng, prime, readers=3, items=60):
    """Readers of a known d′ and a criterion of 0, who share nothing but the items."""
    made = np.arange(items) % 2 == 0
    evidence = rng.normal(size=(readers, items)) + np.where(made, prime / 2, -prime / 2)
    sure = 1 + np.digitize(np.abs(evidence), [0.3, 0.7, 1.2, 1.8])
    return Readings.of(made, evidence > 0, sure)


def test_d_prime_by_hand():
    value, criterion = d_prime(40, 50, 10, 50)
    hit, alarm = stats.norm.ppf(40.5 / 51), stats.norm.ppf(10.5 / 51)
    assert value == pytest.approx(hit - alarm)
    assert criterion == pytest.approx(0, abs=1e-12)
    assert d_prime(25, 50, 25, 50) == pytest.approx((0, 0))
    assert np.isfinite(d_prime(50, 50, 0, 50)).all()


def test_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    made, ratings = rng.random(80) < 0.4, rng.integers(-5, 6, 80).astype(float)
    assert auroc(made, ratings) == pytest.approx(roc_auc_score(made, ratings))


def test_a_reader_by_himself():
    made = [True] * 10 + [False] * 10
    called = [True] * 8 + [False] * 2 + [True] * 3 + [False] * 7
    table = summarise_readings(Readings.of(made, called, [1] * 20, ["a"])).set_index("measure")
    assert set(table["reader"]) == {"a"}
    assert table.loc["sensitivity", "value"] == 0.8
    assert table.loc["specificity", "value"] == 0.7
    assert table.loc["accuracy", ["value", "low"]].tolist() == pytest.approx([0.75, 0.5313], abs=1e-3)  # Wilson
    assert table.loc["balanced accuracy", "value"] == 0.75
    assert table.loc["p of chance within ±0.1", "value"] > 0.9


def test_readers_pooled_have_the_mean_and_an_interval_around_it():
    readings = simulated(np.random.default_rng(1), 1.0)
    table = summarise_readings(readings)
    own, pooled = (table[(table["reader"] == "all") == kind].set_index("measure") for kind in (False, True))
    for measure in ("accuracy", "d′", "AUC"):
        assert pooled.loc[measure, "value"] == pytest.approx(own.loc[measure, "value"].mean())
        assert pooled.loc[measure, "low"] < pooled.loc[measure, "value"] < pooled.loc[measure, "high"]


@pytest.mark.parametrize("prime", [0.0, 1.0])
def test_intervals_hold_the_truth_about_as_often_as_they_say(prime):
    rng = np.random.default_rng(2)
    truth = {"accuracy": stats.norm.cdf(prime / 2), "d′": prime}
    held = dict.fromkeys(truth, 0)
    runs = 120
    for _ in range(runs):
        table = summarise_readings(simulated(rng, prime))
        pooled = table[table["reader"] == "all"].set_index("measure")
        for measure, value in truth.items():
            held[measure] += pooled.loc[measure, "low"] <= value <= pooled.loc[measure, "high"]
    assert all(0.88 <= count / runs <= 1 for count in held.values())


def test_chance_is_told_from_not_knowing():
    rng = np.random.default_rng(3)
    few, many = (summarise_readings(simulated(rng, 0.0, 1, items)) for items in (20, 2000))
    p = [table.set_index("measure").loc["p of chance within ±0.1", "value"] for table in (few, many)]
    assert p[0] > 0.05 > p[1]


def test_agreement_between_and_within_readers():
    made = [True, False] * 10
    same = Readings.of(made, [made, made, made], np.ones((3, 20)))
    assert agreement(same) == pytest.approx(1)
    assert np.isnan(agreement(Readings.of(made, made, [1] * 20)))
    assert repeated([1, 0, 1, 0], [1, 0, 1, 0]) == 1
    assert np.isnan(repeated([1, 1], [1, 1]))


@pytest.mark.parametrize(
    ("made", "called", "words"), [([True] * 6, [True] * 6, "one kind"), ([True, False] * 3, [True] * 5, "every reader")]
)
def test_answers_that_cannot_be_are_refused(made, called, words):
    with pytest.raises(ScanweaveError, match=words):
        Readings.of(made, called, np.ones(len(called)))
