from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scanweave.measures.matched_specificity import MatchedReading
from scanweave.measures.proportions import mcnemar

SICK = np.repeat([True, False], [60, 60])


def reading_of(rng, model=1.5, reader=1.5, validation=True):
    """Return a model and a reader of the specificity 0.8 whose scores correlate by a half."""
    common = rng.normal(size=120)
    scores, seen = (np.sqrt(0.5) * (common + rng.normal(size=120)) + shift * SICK for shift in (model, reader))
    others = (SICK, rng.normal(size=120) + model * SICK) if validation else None
    return MatchedReading(SICK, scores, seen >= norm.ppf(0.8), others)


@pytest.mark.parametrize("validation", [True, False])
def test_equals_are_seldom_told_apart_and_mcnemar_tells_them_apart_too_often(validation):
    rng, studies = np.random.default_rng(0), 100
    resampled, as_given = [], []
    for seed in range(studies):
        reading = reading_of(rng, validation=validation)
        resampled.append(reading.compare(seed=seed, repeats=50)["sensitivity"].p)
        as_given.append(mcnemar(reading.point().call(reading.scores)[SICK], reading.called[SICK]).p)
    errors, of_mcnemar = (np.mean(np.array(p) < 0.05) for p in (resampled, as_given))
    assert errors <= 0.11  # of 800 studies with 200 resamples 4 and 5 % err, of McNemar's 15 and 18 %
    assert of_mcnemar > errors + 0.03


def test_a_model_that_is_better_is_found_so():
    rng = np.random.default_rng(1)
    found = [reading_of(rng, model=2.6).compare(seed=seed, repeats=60)["sensitivity"] for seed in range(30)]
    assert np.mean([one.p < 0.05 for one in found]) > 0.7
    truth = norm.sf(norm.ppf(0.8) - 2.6) - norm.sf(norm.ppf(0.8) - 1.5)
    assert sum(one.difference.low <= truth <= one.difference.high for one in found) >= 26


def test_differences_are_those_at_the_matched_threshold():
    reading = reading_of(np.random.default_rng(2))
    found, threshold = reading.compare(seed=0, repeats=20), reading.point().threshold
    sensitivity = (reading.scores >= threshold)[SICK].mean() - reading.called[SICK].mean()
    specificity = (reading.scores < threshold)[~SICK].mean() - (~reading.called)[~SICK].mean()
    assert found["sensitivity"].difference.value == pytest.approx(sensitivity)
    assert found["specificity"].difference.value == pytest.approx(specificity)
    assert found["specificity"].difference.n == 60


def test_matched_on_the_patients_themselves_the_specificities_agree_in_every_resample():
    found = reading_of(np.random.default_rng(3), validation=False).compare(seed=0, repeats=50)
    assert found["specificity"].difference.value == 0
    assert found["specificity"].p == 1
