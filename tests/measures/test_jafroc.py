from __future__ import annotations

import numpy as np
import pytest
from box_samples import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp, ttest_rel
from sklearn.metrics import roc_auc_score

from scanweave.errors import ScanweaveError
from scanweave.measures.froc import Marks, mark_lesions
from scanweave.measures.jafroc import compare_figures, figure_of_merit, jackknifed_figure, jafroc_table

NONE = -np.inf


def marks_of(false, lesions):
    """Marks from the ratings of the false marks and of the lesions of each film."""
    numbers = np.arange(len(false))
    owners = [np.repeat(numbers, list(map(len, lists))) for lists in (lesions, false)]
    flat = [np.array([rating for one in lists for rating in one], dtype=float) for lists in (lesions, false)]
    return Marks(flat[0], owners[0], flat[1], owners[1], len(false))


PUBLISHED = marks_of(
    [[], [0.5], [0.7, 0.6], [-0.3], [1.5], [], [], [], []],
    [[], [], [], [], [0.9], [-0.2], [1.6, NONE], [3, 2], [1, 2.5, 1]],
)
"""Nine cases of Chakraborty, The RJafroc Froc Book, section "AFROC vs. wAFROC", which prints their operating points."""


def drawn(seed, films=12, patients=5):
    """Draw marks with ties, missed lesions, films without marks, and several films a patient."""
    rng = np.random.default_rng(seed)
    false = [rng.integers(0, 5, rng.integers(0, 4)) / 4 for _ in range(films)]
    lesions = [
        [NONE if rng.random() < 0.3 else rng.integers(0, 5) / 4 for _ in range(rng.integers(0, 3))] for _ in false
    ]
    return marks_of(false, [[], [0.5], *lesions[2:]]), rng.integers(0, patients, films).tolist()


def by_pairs(marks, variant="JAFROC"):
    """The mean of psi over all pairs, one by one; NaN where there is none."""
    normal = [film for film in range(marks.images) if variant == "JAFROC-1" or film not in marks.lesion_images]
    won = []
    for film in normal:
        highest = max(marks.false_scores[marks.false_images == film], default=NONE)
        won += [1.0 if rating > highest else 0.5 if rating == highest else 0.0 for rating in marks.lesion_scores]
    return np.mean(won) if won else np.nan


def without(marks, patients, left_out):
    """Marks of the films of all other patients."""
    kept = np.array([patient != left_out for patient in patients])
    numbers = np.cumsum(kept) - 1
    mine = [kept[owners] for owners in (marks.lesion_images, marks.false_images)]
    owners = [numbers[own[there]] for own, there in zip((marks.lesion_images, marks.false_images), mine, strict=True)]
    return Marks(marks.lesion_scores[mine[0]], owners[0], marks.false_scores[mine[1]], owners[1], int(kept.sum()))


def test_a_published_example():
    area = 0.5 * 7 / 9 + 0.25 * 8 / 9 + 0.25 * 8 / 9 + (1 - 8 / 9) * 0.25 / 2  # as printed there: 0.8472222
    assert figure_of_merit(PUBLISHED) == pytest.approx(area)
    assert figure_of_merit(PUBLISHED) == pytest.approx(0.8472222, abs=1e-7)
    # all nine films, by the same source's definition of the AFROC1 curve: 4 of 9 lesions lie above 1.5
    assert figure_of_merit(PUBLISHED, "JAFROC-1") == pytest.approx((4 * area * 9 + 4 + 4 * 8.5) / 81)


def test_from_boxes_by_hand():
    truths = [boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes(), boxes()]
    found = [
        boxes((0, 0, 10, 10), (1, 0, 10, 10), (50, 50, 60, 60), scores=[0.4, 0.6, 0.9]),  # the best on it counts
        boxes((0, 0, 9, 9), (5, 5, 9, 9), scores=[0.6, 0.1]),
        boxes(scores=[]),
    ]
    marks = mark_lesions(truths, found, "nodule")
    # lesions at 0.6 and unmarked; normal films at 0.6 and unmarked: a tie, a win, a loss, a tie
    assert figure_of_merit(marks) == (0.5 + 1 + 0 + 0.5) / 4
    assert figure_of_merit(marks, "JAFROC-1") == (0.5 + 1 + 0 + 0.5 + 0 + 0) / 6


def test_nothing_marked_is_half_and_all_right_is_one():
    assert figure_of_merit(marks_of([[], []], [[], [NONE, NONE]])) == 0.5
    assert figure_of_merit(marks_of([[0.2], [0.9]], [[], [0.3, 0.4]])) == 1  # 0.9 lies on a film with a lesion
    assert figure_of_merit(marks_of([[0.2], []], [[], [NONE]])) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from(["JAFROC", "JAFROC-1"]))
def test_figure_and_jackknife_are_those_of_all_pairs(seed, variant):
    marks, patients = drawn(seed)
    value, names = by_pairs(marks, variant), list(dict.fromkeys(patients))
    assert figure_of_merit(marks, variant) == pytest.approx(value)
    left = np.array([by_pairs(without(marks, patients, name), variant) for name in names])
    found = jackknifed_figure(marks, patients, variant)
    expected = len(names) * value - (len(names) - 1) * left
    np.testing.assert_allclose(found.pseudovalues, expected, atol=1e-12)
    if np.isfinite(expected).all() and expected.std() > 1e-6:
        error = expected.std(ddof=1) / np.sqrt(len(names))
        assert found.standard_error == pytest.approx(error)
        reach = student.ppf(0.975, len(names) - 1) * error
        ends = np.clip([value - reach, value + reach], 0, 1)
        assert [found.interval().low, found.interval().high] == pytest.approx(ends.tolist())


def test_one_lesion_a_film_and_false_marks_on_normal_films_only_is_the_auroc():
    rng = np.random.default_rng(0)
    ill = rng.random(60) < 0.4
    ratings = np.round(rng.normal(ill, 1), 1)
    marks = marks_of(
        [[] if sick else [rating] for rating, sick in zip(ratings, ill, strict=True)],
        [[rating] if sick else [] for rating, sick in zip(ratings, ill, strict=True)],
    )
    assert figure_of_merit(marks) == pytest.approx(roc_auc_score(ill, ratings))
    film = [str(number) for number in range(60)]
    found = jackknifed_figure(marks, film).pseudovalues
    assert ttest_1samp(found, found.mean()).statistic == pytest.approx(0, abs=1e-9)


def test_two_detectors_are_compared_by_pairs_of_pseudovalues():
    rng, patients = np.random.default_rng(1), [number // 2 for number in range(60)]
    lesions = [[rng.random() + 0.4] if number % 3 == 0 else [] for number in range(60)]
    first = marks_of([[rng.random()] for _ in lesions], lesions)
    second = marks_of([[rng.random()] for _ in lesions], [[rng.random()] * len(one) for one in lesions])
    found = compare_figures(first, second, patients)
    one, other = (jackknifed_figure(marks, patients).pseudovalues for marks in (first, second))
    expected = ttest_rel(one, other)
    assert found.difference.value == pytest.approx(figure_of_merit(first) - figure_of_merit(second))
    assert found.difference.n == 30
    centre = (one - other).mean()  # the t-test is about the mean of pseudovalues, ours about the figures themselves
    error = (one - other).std(ddof=1) / np.sqrt(30)
    assert expected.statistic == pytest.approx(centre / error)
    assert found.p == pytest.approx(2 * student.sf(found.difference.value / error, 29))
    assert found.difference.low < found.difference.value < found.difference.high
    same = compare_figures(first, first, patients)
    assert (same.difference.value, same.p) == (0, 1)
    with pytest.raises(ScanweaveError, match="other films or lesions"):
        compare_figures(first, marks_of([[]], [[0.5]]), patients)


def test_what_cannot_be_jackknifed_has_no_interval():
    alone = jackknifed_figure(marks_of([[0.1], [0.3], []], [[], [], [0.2]]), ["a", "b", "c"])  # c has all lesions
    assert np.isnan(alone.pseudovalues).tolist() == [False, False, True]
    assert np.isnan(alone.interval().low)
    assert alone.value == 0.5
    perfect = jackknifed_figure(marks_of([[0.1], [0.3], [], []], [[], [], [0.8], [0.9]]), [0, 1, 2, 3])
    assert (perfect.value, np.isnan(perfect.standard_error)) == (1, True)  # never 1.00 [1.00, 1.00]


def test_table_leaves_out_what_has_no_figure():
    diseased = marks_of([[0.1], [0.4], [0.9]], [[0.3], [0.5], [NONE]])
    nothing = marks_of([[0.1], [], []], [[], [], []])
    mixed = marks_of([[], [0.5], [0.7]], [[], [], [0.9]])
    table = jafroc_table({"nodule": mixed, "mass": nothing, "effusion": diseased}, ["a", "b", "c"])
    assert list(zip(table["class"], table["measure"], table["films"], strict=True)) == [
        ("nodule", "JAFROC", 2),
        ("nodule", "JAFROC-1", 3),
        ("effusion", "JAFROC-1", 3),
    ]
    assert table["lesions"].tolist() == [1, 1, 3]
    assert jafroc_table({"mass": nothing}, ["a", "b", "c"]).empty


def test_refused_in_one_line():
    with pytest.raises(ScanweaveError, match="no lesion to be found"):
        figure_of_merit(marks_of([[0.1]], [[]]))
    with pytest.raises(ScanweaveError, match="take JAFROC-1"):
        figure_of_merit(marks_of([[0.1]], [[0.5]]))
    with pytest.raises(ScanweaveError, match="Choose JAFROC or JAFROC-1"):
        figure_of_merit(PUBLISHED, "AFROC")


def test_many_films_take_no_memory_of_pairs():
    rng, films = np.random.default_rng(2), 200_000  # 10 ** 10 pairs
    lesions = np.arange(0, films, 2)
    marks = Marks(rng.random(len(lesions)), lesions, rng.random(films), np.arange(films), films)
    found = jackknifed_figure(marks, (np.arange(films) // 4).tolist(), "JAFROC-1")
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert 0 < found.standard_error < 0.01
