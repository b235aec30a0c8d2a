from __future__ import annotations

import math

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.decision_curve import decision_curve, net_benefit

POSITIVE = np.repeat([1, 0], [20, 80])
PROBABILITIES = np.concatenate([np.repeat([0.9, 0.3, 0.05], [12, 5, 3]), np.repeat([0.5, 0.15, 0.01], [8, 22, 50])])


def test_net_benefit_by_hand():
    """Vickers & Elkin 2006: true positives / n − false positives / n × odds of the threshold."""
    assert net_benefit(POSITIVE, PROBABILITIES, 0.2) == pytest.approx(17 / 100 - 8 / 100 * 0.2 / 0.8)
    assert net_benefit(POSITIVE, PROBABILITIES, 0.5) == pytest.approx(12 / 100 - 8 / 100)
    assert net_benefit(POSITIVE, PROBABILITIES, 0.95) == 0  # nobody is treated


def test_published_net_benefit():
    """R's dcurves, `dca(cancer ~ famhistory)` on its own table: 750 patients, 105 with cancer; called are 24 and 91."""
    positive, called = np.repeat([1, 1, 0, 0], [24, 81, 91, 554]), np.repeat([1, 0, 1, 0], [24, 81, 91, 554])
    points = decision_curve(positive, called, range(750), [0.1, 0.2, 0.35], seed=0, repeats=50)
    assert [point.model.value for point in points] == pytest.approx([0.0185185, 0.0016667, -0.0333333], abs=5e-8)
    assert [point.treat_all.value for point in points] == pytest.approx([0.0444444, -0.075, -0.3230769], abs=5e-8)


def test_curve_holds_the_three_policies():
    points = decision_curve(POSITIVE, PROBABILITIES, range(100), [0.01, 0.2, 0.6], seed=0)
    for point in points:
        assert point.model.value == pytest.approx(net_benefit(POSITIVE, PROBABILITIES, point.threshold))
        treat_all = 0.2 - 0.8 * point.threshold / (1 - point.threshold)
        assert point.treat_all.value == pytest.approx(treat_all)
        assert point.gain.value == pytest.approx(point.model.value - max(treat_all, 0))
        assert point.model.low <= point.model.value <= point.model.high
    assert points[0].gain.high == pytest.approx(0)  # at 1 % the model treats everyone too
    assert points[1].gain.low > 0


def test_a_useless_model_gains_nothing():
    rng = np.random.default_rng(0)
    points = decision_curve(POSITIVE, rng.uniform(size=100), range(100), [0.1, 0.2, 0.3], seed=0)
    assert all(point.gain.low < 0 for point in points)


def test_intervals_are_by_patient():
    rows = [np.repeat(column, 3) for column in (POSITIVE, PROBABILITIES, np.arange(100))]
    (once,) = decision_curve(POSITIVE, PROBABILITIES, range(100), [0.2], seed=0)
    (thrice,) = decision_curve(*rows, [0.2], seed=0)
    assert (thrice.model.low, thrice.model.high, thrice.model.n) == pytest.approx(
        (once.model.low, once.model.high, 100)
    )
    worth = np.where(PROBABILITIES >= 0.2, np.where(POSITIVE, 1, -0.25), 0)
    assert bootstrap(worth, range(100), seed=0).low == pytest.approx(once.model.low)


def test_one_patient_has_no_interval():
    (point,) = decision_curve([1], [0.9], ["a"], [0.5], seed=0)
    assert point.model.value == 1
    assert math.isnan(point.model.low)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: net_benefit([1, 0], [0.2, 0.4], 1.0), "thresholds"),
        (lambda: net_benefit([1, 0], [0.2, 0.4], 0.0), "thresholds"),
        (lambda: net_benefit([1, 0], [-2.0, 3.0], 0.5), "logits"),
        (lambda: decision_curve([1, 0], [0.2, 0.4], ["a", "b"], [], seed=0), "thresholds"),
        (lambda: decision_curve([1, 0], [0.2, 0.4], ["a"], seed=0), "patients"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
