"""Best possible answers from any set of modalities are those of the outcomes that were drawn."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit, softmax
from scipy.stats import norm

from scanweave.simulate.breast import BreastSettings
from scanweave.simulate.breast.bayes import posterior, shapley_values, subsets_of
from scanweave.simulate.breast.outcomes import MODALITIES, OUTCOMES, draw_patient

SHOWING = ("dce", "dwi", "t2", "table")
MALIGNANCY = OUTCOMES[0]
FACTORS = np.random.default_rng(5).standard_normal((6, 4))


def chances(outcome, factors):
    odds = outcome.log_odds(factors)
    return softmax(np.concatenate([np.zeros((len(odds), 1)), odds], axis=1), axis=1)


@pytest.mark.parametrize("shown", [(), ("dce",), ("dwi", "table"), ("t2",), ("t2", "table"), ("dce", "dwi")])
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.name)
def test_factors_that_are_not_shown_are_integrated_out(outcome, shown):
    drawn = np.random.default_rng(1).standard_normal((60_000, 4))
    for name in shown:
        drawn[:, SHOWING.index(name)] = FACTORS[2, SHOWING.index(name)]
    found = chances(outcome, drawn)
    bound = 4 * found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(posterior(outcome, FACTORS, shown)[2] - found.mean(axis=0)) < bound).all()


def test_the_integral_is_exact_where_it_is_steepest():
    factors = np.array([[4.0, 0.0, -1.0, 0.5]])
    slope = 1.2 + 0.8 * 4.0
    by_hand = quad(lambda r: expit(-0.3 + 1.6 * 4 - 0.8 + 0.4 + slope * r) * norm.pdf(r), -9, 9, epsabs=1e-12)[0]
    assert posterior(MALIGNANCY, factors, ("dce", "t2", "table"))[0, 1] == pytest.approx(by_hand, abs=1e-8)


def test_a_product_of_two_factors_of_which_none_is_shown():
    places = np.arange(-8, 8.01, 0.05)
    k, r = places[:, None], places[None, :]
    odds = -0.3 + 1.6 * k + 1.2 * r + 0.8 * FACTORS[3, 2:].sum() + 0.8 * k * r
    by_hand = (expit(odds) * norm.pdf(k) * norm.pdf(r)).sum() * 0.05**2
    assert posterior(MALIGNANCY, FACTORS, ("t2", "table"))[3, 1] == pytest.approx(by_hand, abs=1e-8)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.name)
def test_all_modalities_tell_what_the_factors_tell_and_a_sham_nothing(outcome):
    np.testing.assert_allclose(posterior(outcome, FACTORS, SHOWING), chances(outcome, FACTORS), rtol=1e-12)
    for shown in subsets_of(SHOWING):
        np.testing.assert_array_equal(posterior(outcome, FACTORS, (*shown, "sham")), posterior(outcome, FACTORS, shown))


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.name)
def test_what_is_not_shown_is_not_looked_at(outcome):
    for shown in subsets_of(SHOWING):
        other = FACTORS.copy()
        other[:, [name not in shown for name in SHOWING]] = 7.0
        np.testing.assert_array_equal(posterior(outcome, other, shown), posterior(outcome, FACTORS, shown))


def test_outcomes_are_drawn_with_these_probabilities():
    patients = [draw_patient(np.random.default_rng([3, i]), BreastSettings(outcomes=True)) for i in range(1500)]
    factors = np.stack([patient.factors for patient in patients])
    for outcome in OUTCOMES:
        numbers = np.array([outcome.classes.index(patient.labels[outcome.name]) for patient in patients])
        for shown in ((), ("dce",), ("dwi", "t2"), SHOWING):
            told = posterior(outcome, factors, shown)
            missed = (numbers[:, None] == np.arange(told.shape[1])) - told
            for weight in (np.ones(len(told)), *factors[:, [name in shown for name in SHOWING]].T):
                off = (missed * weight[:, None]).mean(axis=0)
                spread = np.sqrt((told * (1 - told) * weight[:, None] ** 2).mean(axis=0) / len(told))
                assert (np.abs(off) < 4 * spread).all()


def test_sites_have_a_third_of_the_patients_each():
    names = [draw_patient(np.random.default_rng([1, i]), BreastSettings(outcomes=True)).site.name for i in range(1500)]
    assert [names.count(name) / 1500 for name in "ABC"] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_shapley_values_of_log_odds_add_up_and_a_sham_has_none():
    worths = {subset: logit(posterior(MALIGNANCY, FACTORS, subset)[:, 1]) for subset in subsets_of(list(MODALITIES))}
    values = shapley_values(worths, list(MODALITIES))
    np.testing.assert_allclose(sum(values.values()), worths[tuple(MODALITIES)] - worths[()], atol=1e-12)
    assert not values["sham"].any()
    assert np.abs(values["dce"]).min() > 0


def test_shapley_values_share_a_product_evenly():
    names = ("dce", "dwi", "t2")
    own = {"dce": 3.0, "dwi": -1.0, "t2": 0.5}
    worths = {
        subset: np.array([sum(own[name] for name in subset) + 2.0 * ("dce" in subset and "dwi" in subset)])
        for subset in subsets_of(names)
    }
    values = shapley_values(worths, names)
    assert [float(values[name][0]) for name in names] == pytest.approx([4.0, 0.0, 0.5])


def test_subsets_are_all_and_in_order():
    assert subsets_of(("t2", "dce")) == [(), ("dce",), ("t2",), ("dce", "t2")]
    assert len(subsets_of(list(MODALITIES))) == 32
