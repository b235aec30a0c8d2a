"""Lists in errors name each thing once, and say where they are cut."""

import pytest

from scanweave.wording import SHOWN, choice, listed, nearest


def test_nearest_names_each_once_and_says_where_it_is_cut():
    many = [f"P{number:02}" for number in range(20)]
    studies_and_patients = ["P01", "P02", "P01", "P02"]
    assert nearest("P99", studies_and_patients) == "Choose from P01, P02"
    assert nearest("zzz", many) == f"Choose from {', '.join(many[:SHOWN])} …"
    assert nearest("zzz", []) == "There is none"


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
