"""Lists in errors name each thing once, and say where they are cut."""

import pytest

from scanweave.wording import choice, listed, nearest


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("flair2", ["t1", "t1c", "t2", "flair"], "Choose from flair, t1, t1c, t2"),
        ("P99", ["P01", "P02", "P01", "P02"], "Choose from P01, P02"),
        ("zzz", [], "There is none"),
        (
            "glioma_7",
            [f"glioma_{number:02}" for number in range(60)],
            "Did you mean glioma_57 or glioma_47 or glioma_37?",
        ),
        ("glioma", ["gliom", *map(str, range(60))], "Did you mean gliom?"),
        (
            "zzz",
            [f"P{number:02}" for number in range(60)],
            "Choose from P00, P01, P02, P03, P04, P05, P06, P07 and 52 more",
        ),
    ],
)
def test_nearest_lists_all_of_few_and_what_may_be_meant_of_many(name, known, words):
    assert nearest(name, known) == words


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a", "b"], "a, b"), (["a", "a", "b", "c"], "a, b, c"), ("abcde", "a, b, c and 2 more"), ([], "")],
)
def test_listed_counts_what_it_leaves_out(names, words):
    assert listed(names, 3) == words


def test_choice_offers_what_is_nearly_meant_else_all():
    verbs = ["fit", "evaluate", "report"]
    assert choice("evalute", verbs) == "Did you mean evaluate?"
    assert choice("Fit", verbs) == "Did you mean fit?"
    assert choice("zzz", verbs) == "Choose one of fit, evaluate, report"
