"""Fault 11 of AdaMedGraph's released code: no method is tuned on the patients that it is scored on."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SEEN: list[tuple[str, frozenset[int]]] = []


class Spy(ClassifierMixin, BaseEstimator):
    """Notes the rows that it is fitted on and asked for; the larger `skill`, the better its answers."""

    def __init__(self, skill=0.0):
        self.skill = skill

    def fit(self, X, y):  # noqa: N803
        self.classes_ = np.unique(y)
        SEEN.append(("fit", frozenset(X["row"])))
        return self

    def predict_proba(self, X):  # noqa: N803
        SEEN.append(("judge", frozenset(X["row"])))
        shares = np.full((len(X), 2), 1 - self.skill)
        shares[np.arange(len(X)), X["row"] // 2 % 2] = self.skill
        return shares


def patients(rows):
    return {row // 2 for row in rows}


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import adamedgraph_tables

    yield adamedgraph_tables
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_trials_are_judged_without_the_test_patients(tables):
    rows = np.arange(120)
    owners = rows // 2
    question = tables.Question(pd.DataFrame({"row": rows}), owners % 2, owners.astype(str))
    budget = tables.Budget(3, 2, 0)
    for train, test in tables.folds_of(question, 3, 0, 120):
        SEEN.clear()
        model = tables.tuned(Spy(), {"skill": [0.5, 0.6, 0.9]}, question, question.target, train, budget)
        assert model.skill == 0.9
        assert not patients(test) & {patient for _, seen in SEEN for patient in patients(seen)}
        *trials, last = SEEN
        assert last == ("fit", frozenset(train))
        assert [what for what, _ in trials] == ["fit", "judge"] * 6
        for (_, fitted), (_, judged) in zip(trials[::2], trials[1::2], strict=True):
            assert not patients(fitted) & patients(judged)
            assert fitted | judged == set(train)
