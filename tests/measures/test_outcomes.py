"""Outcomes as tables of measures with intervals."""

import numpy as np
import pytest

from scanweave.measures.classification import auroc, brier, log_loss
from scanweave.measures.outcomes import measure_mean_auroc, measure_scores, measure_told


@pytest.fixture
def told():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 90)
    scores = rng.normal(size=(90, 3)) + 1.5 * np.eye(3)[classes]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return classes, shares, [f"p{number}" for number in range(90)]


def test_classes_have_the_figures_of_the_plain_functions(told):
    classes, shares, patients = told
    found = measure_told(classes, shares, patients, repeats=100)
    assert found["log loss"].value == pytest.approx(log_loss(classes, shares))
    assert found["Brier score"].value == pytest.approx(brier(classes, shares))
    assert found["accuracy"].value == pytest.approx((shares.argmax(axis=1) == classes).mean())
    assert all(one.low < one.value < one.high for one in found.values())


def test_binary_outcome_without_a_side_has_no_measure(told):
    classes, shares, patients = told
    assert measure_scores(np.zeros(90, bool), shares[:, 0], patients) == {}
    found = measure_scores(classes == 0, shares[:, 0], patients, shares[:, 0] > 0.5, repeats=100)
    assert found["Brier score"].value == pytest.approx(brier((classes == 0).astype(int), shares[:, 0]))
    assert {"AUROC", "AUPRC", "log loss", "sensitivity", "specificity", "F1", "MCC"} <= set(found)


def test_mean_auroc_is_over_what_is_known(told):
    classes, shares, patients = told
    truths = np.stack([classes == 0, classes == 1, np.full(90, np.nan)], axis=1).astype(float)
    truths[:30, 1] = np.nan
    found = measure_mean_auroc(truths, shares, patients, repeats=100)
    areas = auroc(classes == 0, shares[:, 0]), auroc(classes[30:] == 1, shares[30:, 1])
    assert found is not None
    assert found.value == pytest.approx(np.mean(areas))
    assert found.low < found.value < found.high
    assert measure_mean_auroc(truths[:, 2:], shares[:, 2:], patients) is None
