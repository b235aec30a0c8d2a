from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import xlogy
from scipy.stats import binom, norm

from scanweave.errors import ScanweaveError
from scanweave.measures.comparisons import Equivalent, NonInferior
from scanweave.measures.proportions import compare_paired_proportions, compare_proportions, mcnemar, proportion


def pairs(both, only_first, only_second, neither):
    counts = [both, only_first, only_second, neither]
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def ends(interval):
    return interval.low, interval.high


@pytest.mark.parametrize(
    ("successes", "n", "wilson", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_published_intervals(successes, n, wilson, exact):
    """Newcombe 1998 (Statistics in Medicine 17:857), Table I, methods 3 and 5."""
    assert ends(proportion(successes, n)) == pytest.approx(wilson, abs=6e-5)
    assert ends(proportion(successes, n, "clopper-pearson")) == pytest.approx(exact, abs=6e-5)


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_failures_mirror_successes(n, data):
    successes = data.draw(st.integers(0, n))
    for method in ("wilson", "clopper-pearson"):
        found, mirrored = proportion(successes, n, method), proportion(n - successes, n, method)
        assert ends(found) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))
        assert 0 <= found.low <= found.value <= found.high <= 1


@settings(deadline=None)
@given(st.floats(0.02, 0.98), st.integers(1, 30))
def test_the_exact_interval_never_covers_too_rarely(truth, n):
    covered = [k for k in range(n + 1) if truth >= (i := proportion(k, n, "clopper-pearson")).low and truth <= i.high]
    assert binom.pmf(covered, n, truth).sum() >= 0.95


def test_published_mcnemar():
    """Approval ratings, Agresti 1990 p. 350 (corrected as in R's `mcnemar.test`); airways, Fagerland et al. 2014."""
    approval = pairs(794, 150, 86, 570)
    assert mcnemar(*approval, "corrected").p == pytest.approx(4.115e-05, rel=1e-3)
    assert mcnemar(*approval, "corrected").difference.value == pytest.approx(0.04)
    assert compare_paired_proportions(*approval).p == pytest.approx(3.099e-05, rel=1e-3)  # z² = 64² / 236 = 17.36
    airways = pairs(1, 1, 7, 12)
    assert [round(mcnemar(*airways, method).p, 3) for method in ("exact", "mid-p")] == [0.070, 0.039]
    assert compare_paired_proportions(*airways).p == pytest.approx(0.034, abs=5e-4)


def test_published_differences_of_paired_proportions():
    """Airways: Fagerland et al. 2014; contact lenses: Tango 1998, example 2, 90 %; the last: R, `scoreci.mp`."""
    assert ends(mcnemar(*pairs(1, 1, 7, 12)).difference) == pytest.approx((-0.517, -0.026), abs=5e-4)
    lenses = compare_paired_proportions(*pairs(43, 0, 1, 0), confidence=0.9).difference
    assert ends(lenses) == pytest.approx((-0.096, 0.037), abs=6e-4)
    assert ends(compare_paired_proportions(*pairs(468, 28, 25, 97), confidence=0.9).difference) == pytest.approx(
        (-0.0148, 0.0247), abs=6e-5
    )


def test_published_non_inferiority_of_paired_proportions():
    """Contact lenses, Tango 1998, example 2: with a margin of 0.1 Z is 1.709."""
    found = compare_paired_proportions(*pairs(43, 0, 1, 0), NonInferior(0.1))
    assert norm.isf(found.p) == pytest.approx(1.709, abs=5e-4)


def test_published_differences_of_proportions():
    """Newcombe 1998 (Statistics in Medicine 17:873), Table II, method 6 (Miettinen & Nurminen)."""
    published = {
        ((56, 48), (70, 80)): (0.0528, 0.3382),
        ((9, 3), (10, 10)): (0.1700, 0.8406),
        ((5, 0), (56, 29)): (-0.0326, 0.1933),
    }
    for case, expected in published.items():
        assert ends(compare_proportions(*case).difference) == pytest.approx(expected, abs=6e-5)


def likeliest_score(successes, sizes, difference):
    """Miettinen & Nurminen's score with the shares found by search instead of by the cubic."""
    second = np.linspace(max(0, -difference), min(1, 1 - difference), 100_001)
    first = second + difference
    likelihood = sum(
        xlogy(count, share) + xlogy(size - count, np.clip(1 - share, 0, 1))
        for count, size, share in zip(successes, sizes, (first, second), strict=True)
    )
    best = np.nanargmax(likelihood)
    spread = sum(s[best] * (1 - s[best]) / size for s, size in zip((first, second), sizes, strict=True))
    total = sum(sizes)
    return (successes[0] / sizes[0] - successes[1] / sizes[1] - difference) / math.sqrt(spread * total / (total - 1))


@settings(deadline=None, max_examples=40)
@given(st.data(), st.tuples(st.integers(2, 30), st.integers(2, 30)))
def test_ends_are_where_the_score_is_at_its_quantile(data, sizes):
    successes = tuple(data.draw(st.integers(0, size)) for size in sizes)
    found = compare_proportions(successes, sizes).difference
    for end, quantile in ((found.low, 1.96), (found.high, -1.96)):
        if abs(end) < 0.999:
            assert likeliest_score(successes, sizes, end) == pytest.approx(quantile, abs=2e-3)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4).filter(any))
def test_every_paired_table_has_an_interval_and_p_values(counts):
    first, second = pairs(*counts)
    found = compare_paired_proportions(first, second)
    assert -1 <= found.difference.low <= found.difference.value <= found.difference.high <= 1
    swapped = compare_paired_proportions(second, first)
    assert ends(swapped.difference) == pytest.approx((-found.difference.high, -found.difference.low), abs=1e-6)
    assert swapped.p == pytest.approx(found.p)
    assert mcnemar(first, second).p <= mcnemar(first, second, "exact").p
    for aim in (NonInferior(0.1), Equivalent(0.1)):
        assert 0 <= compare_paired_proportions(first, second, aim).p <= 1


def test_readers_who_never_differ():
    first = np.repeat([1, 0], [30, 14])
    assert [mcnemar(first, first, method).p for method in ("mid-p", "exact", "corrected")] == [1, 1, 1]
    found = compare_paired_proportions(first, first, NonInferior(0.1))
    assert found.difference.low < 0 < found.difference.high
    assert found.p < 0.025
    assert compare_paired_proportions(first[:6], first[:6], NonInferior(0.1)).p > 0.1  # of 6 patients that says little


@pytest.mark.parametrize("method", ["mid-p", "exact", "corrected"])
def test_readers_who_differ_as_often_either_way_do_not_differ(method):
    assert mcnemar(*pairs(5, 1, 1, 5), method).p == 1


def test_margins_agree_with_the_interval():
    case = (50, 44), (60, 60)
    edge = -compare_proportions(*case).difference.low
    assert edge > 0
    assert compare_proportions(*case, NonInferior(edge)).p == pytest.approx(0.025, abs=1e-4)
    narrow = compare_proportions(*case, confidence=0.9).difference
    assert compare_proportions(*case, Equivalent(narrow.high)).p == pytest.approx(0.05, abs=1e-4)


def test_none_of_none():
    assert math.isnan(proportion(0, 0).value)
    assert proportion(0, 0).n == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: proportion(3, 2), "3 of 2"),
        (lambda: proportion(-1, 2), "-1 of 2"),
        (lambda: proportion(0.8, 50), "whole numbers"),
        (lambda: proportion(math.nan, 50), "nan of 50"),
        (lambda: proportion(1, 2, "wald"), "wald is unknown"),
        (lambda: proportion(1, 2, confidence=1.0), "between 0 and 1"),
        (lambda: mcnemar([1, 0], [1]), "1 patients against 2"),
        (lambda: mcnemar([1, 0], [1, 0.4]), "other than 0 and 1"),
        (lambda: mcnemar([1, 0], [1, np.nan]), "other than 0 and 1"),
        (lambda: mcnemar([1, 0], [1, 0], "plain"), "plain is unknown"),
        (lambda: compare_proportions((1, 2), (2, 1)), "2 of 1"),
        (lambda: compare_proportions((0, 0), (2, 0)), "0 of 0"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ScanweaveError, match=words):
        call()
