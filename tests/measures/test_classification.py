from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from scanweave.errors import ScanweaveError
from scanweave.measures.classification import (
    auprc,
    auroc,
    balanced_accuracy,
    brier,
    f1,
    log_loss,
    mcc,
    multiclass_auroc,
)


@st.composite
def outcomes(draw):
    """Binary outcomes of both classes, with scores that tie often."""
    size = draw(st.integers(2, 30))
    positive = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda ones: 0 < sum(ones) < size))
    return np.array(positive), np.array(draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size)), float)


def softmax(rng, rows, classes):
    raw = np.exp(rng.normal(size=(rows, classes)))
    return raw / raw.sum(axis=1, keepdims=True)


@settings(deadline=None, max_examples=40)
@given(outcomes())
def test_auroc_is_the_share_of_pairs_in_order(case):
    positive, scores = case
    pairs = np.subtract.outer(scores[positive], scores[~positive])
    assert auroc(positive, scores) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert auroc(positive, scores) == pytest.approx(metrics.roc_auc_score(positive, scores))


@settings(deadline=None, max_examples=40)
@given(outcomes(), st.randoms(use_true_random=False))
def test_ranking_measures_ignore_scale_and_order(case, random):
    positive, scores = case
    order = list(range(len(scores)))
    random.shuffle(order)
    for measure in (auroc, auprc):
        assert measure(positive, np.exp(scores / 3) - 7) == pytest.approx(measure(positive, scores))
        assert measure(positive[order], scores[order]) == pytest.approx(measure(positive, scores))
    assert auroc(~positive, -scores) == pytest.approx(auroc(positive, scores))


def test_auprc_by_hand():
    assert auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert auprc([1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert auprc([1, 0, 0, 0], [0.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)  # chance: the share of positives


def test_hand_and_till_from_their_definition():
    rng = np.random.default_rng(0)
    classes, shares = np.repeat([0, 1, 2, 3], [40, 20, 7, 3]), softmax(rng, 70, 4)

    def separability(one, other):
        rows = np.isin(classes, (one, other))
        return auroc(classes[rows] == one, shares[rows, one])

    pairs = [(separability(i, j) + separability(j, i)) / 2 for i, j in itertools.combinations(range(4), 2)]
    assert multiclass_auroc(classes, shares, "hand-till") == pytest.approx(np.mean(pairs))


def test_each_class_against_the_rest():
    rng = np.random.default_rng(1)
    classes, shares = np.repeat([0, 1, 2], [30, 15, 5]), softmax(rng, 50, 3)
    each = [auroc(classes == number, shares[:, number]) for number in range(3)]
    assert multiclass_auroc(classes, shares) == pytest.approx(np.mean(each))
    assert multiclass_auroc(classes, shares, "weighted") == pytest.approx(np.average(each, weights=[30, 15, 5]))


@pytest.mark.parametrize("average", ["macro", "weighted", "hand-till"])
def test_two_classes_are_the_binary_case(average):
    positive, scores = np.array([0, 1, 1, 0, 1]), np.array([0.2, 0.9, 0.4, 0.5, 0.6])
    assert multiclass_auroc(positive, scores, average) == pytest.approx(auroc(positive, scores))


def test_accuracy_deceives_where_mcc_does_not():
    """Chicco & Jurman 2020 (BMC Genomics 21:6), use case A1: nearly all is called positive."""
    classes = np.repeat([1, 1, 0], [90, 1, 9])
    predicted = np.repeat([1, 0, 1], [90, 1, 9])
    assert f1(classes, predicted) == pytest.approx(0.95, abs=0.005)
    assert mcc(classes, predicted) == pytest.approx(-0.03, abs=0.005)
    assert balanced_accuracy(classes, predicted) == pytest.approx(0.5 * 90 / 91)


def test_f1_of_many_classes():
    classes, predicted = [0, 0, 1, 2], [0, 1, 1, 1]
    each = [2 / 3, 2 / 4, 0.0]
    assert f1(classes, predicted, "macro") == pytest.approx(np.mean(each))
    assert f1(classes, predicted, "weighted") == pytest.approx(np.average(each, weights=[2, 1, 1]))


def test_what_is_not_defined():
    assert math.isnan(f1([0, 0], [0, 0]))
    assert f1([1, 0], [0, 0]) == 0
    assert mcc([1, 1, 0], [1, 1, 1]) == 0
    assert balanced_accuracy([0, 0, 0], [0, 0, 2]) == pytest.approx(2 / 3)  # class 2 never occurs: not counted


def test_brier_and_log_loss_by_hand():
    assert brier([1, 0], [0.8, 0.4]) == pytest.approx((0.2**2 + 0.4**2) / 2)
    assert brier([1, 0], [[0.2, 0.8], [0.6, 0.4]]) == pytest.approx((0.2**2 + 0.4**2) / 2)
    assert brier([2], [[0.1, 0.2, 0.7]]) == pytest.approx(0.1**2 + 0.2**2 + 0.3**2)
    assert log_loss([2, 0], [[0.1, 0.2, 0.7], [0.5, 0.2, 0.3]]) == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2)
    assert math.isfinite(log_loss([1], [0.0]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**16))
def test_true_probabilities_have_the_best_expected_scores(seed):
    """Brier score and log-loss are proper: no other probabilities are better on average."""
    truth, said = softmax(np.random.default_rng(seed), 2, 3)
    for measure in (brier, log_loss):
        honest, other = (sum(truth[c] * measure([c], [shown]) for c in range(3)) for shown in (truth, said))
        assert honest <= other + 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: auroc([1, 1], [0.1, 0.2]), "every row is positive"),
        (lambda: auprc([0, 0], [0.1, 0.2]), "every row is negative"),
        (lambda: auroc([1], [0.1]), "every row is positive"),
        (lambda: auroc([1, 0], [0.1, np.nan]), "NaN"),
        (lambda: auroc([1, 0], [0.1]), "2 rows"),
        (lambda: auroc([1, 2], [0.1, 0.2]), "other than 0 and 1"),
        (lambda: auroc([], []), "N ≥ 1"),
        (lambda: multiclass_auroc([0, 1, 1], np.full((3, 3), 1 / 3)), "no row is of class 2"),
        (lambda: multiclass_auroc([0, 1, 2], np.eye(3), "micro"), "micro is unknown"),
        (lambda: multiclass_auroc([0, 0], [[1.0], [1.0]]), "of one class only"),
        (lambda: brier([0, 0], [[1.0], [1.0]]), "of one class only"),
        (lambda: f1([0, 1], [0, 1], "micro"), "micro is unknown"),
        (lambda: mcc(["benign", "malignant"], [0, 1]), "classes: not all are numbers"),
        (lambda: mcc([0, np.nan], [0, 1]), "whole numbers"),
        (lambda: brier([0, 1], [0.2, 1.2]), "between 0 and 1"),
        (lambda: brier([0, 1], [[0.2, 0.2], [0.5, 0.5]]), "add up to 1"),
        (lambda: log_loss([0, 3], np.full((2, 2), 0.5)), "2 columns"),
        (lambda: log_loss([0], [[0.5, np.nan]]), "between 0 and 1"),
        (lambda: f1([0, 2], [0, 1]), "binary"),
        (lambda: mcc([0, 1], [0.2, 0.7]), "whole numbers"),
        (lambda: balanced_accuracy([0, 1], [0]), "predicted"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_equal_probabilities_stay_equal_whatever_their_row_sums_to(kind):
    """The sums of these rows differ by rounding; divided by them, the three 0.6 of class 0 would come apart."""
    shares = np.array([[0.6, 0.3, 0.1], [0.6, 0.2, 0.2], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]], kind)
    classes = np.array([0, 1, 0, 1, 2])
    assert len({float(row.sum()) for row in shares.astype(float)}) > 1
    expected = {}
    for average in ("macro", "weighted"):
        areas = []
        for number in range(3):
            ones, others = shares[classes == number, number], shares[classes != number, number]
            areas.append(np.mean([(one > other) + 0.5 * (one == other) for one in ones for other in others]))
        weights = np.bincount(classes) if average == "weighted" else None
        expected[average] = np.average(areas, weights=weights)
        assert multiclass_auroc(classes, shares, average) == pytest.approx(expected[average], abs=1e-12)
    assert multiclass_auroc(classes, shares) < 1


@pytest.mark.parametrize("average", ["macro", "weighted", "hand-till"])
def test_multiclass_auroc_is_scikit_learns(average):
    rng = np.random.default_rng(8)
    classes = rng.integers(0, 4, 200)
    shares = rng.dirichlet([1, 1, 2, 2], 200) + 0.4 * np.eye(4)[classes]
    shares /= shares.sum(1, keepdims=True)
    options = {"multi_class": "ovo"} if average == "hand-till" else {"multi_class": "ovr", "average": average}
    expected = metrics.roc_auc_score(classes, shares, **options)
    assert multiclass_auroc(classes, shares, average) == pytest.approx(expected, abs=1e-12)
