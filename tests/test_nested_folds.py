"""No method is tuned on the patients that it is scored on (fault 11)."""
import sys
from pathlib import Path
import numpy as np, pandas as pd, pytest
from sklearn.base import BaseEstimator, ClassifierMixin
sys.path.insert(0, "/tmp/mut/benchmarks")
tables = pytest.importorskip("adamedgraph_tables")
data = sys.modules["adamedgraph_data"]
SEEN: list[tuple[str, frozenset[int]]] = []

class Spy(ClassifierMixin, BaseEstimator):
    """Notes the rows it is fitted on and asked for; better the larger `skill`."""
    def __init__(self, skill=0.0): self.skill = skill
    def fit(self, X, y):
        self.classes_, self.own_ = np.unique(y), frozenset(X["row"]); SEEN.append(("fit", self.own_)); return self
    def predict_proba(self, X):
        rows = frozenset(X["row"]); SEEN.append(("judge", rows))
        assert not {r // 2 for r in rows} & {r // 2 for r in self.own_}, "scored on patients that it was fitted on"
        p = np.full((len(X), len(self.classes_)), 1 - self.skill); p[np.arange(len(X)), X["row"] // 2 % 2] = self.skill
        return p / p.sum(1, keepdims=True)

def test_trials_are_judged_without_the_test_rows():
    rows = np.arange(120)
    question = data.Question(pd.DataFrame({"row": rows}), rows // 2 % 2, (rows // 2).astype(str))  # two rows a patient
    for train, test in tables.folds_of(question, 3, 0, 120):
        SEEN.clear()
        model = tables.tuned(Spy(), {"skill": [0.5, 0.6, 0.9]}, question, question.target, train, 3, 0)
        assert model.skill == 0.9
        assert not {r // 2 for _, seen in SEEN for r in seen} & set(test // 2)
        judged = [seen for what, seen in SEEN if what == "judge"]
        assert len(judged) == 3 * tables.INNER and frozenset().union(*judged) == set(train)
        assert SEEN[-1] == ("fit", frozenset(train))
        assert set(tables.measured(model, question.table.iloc[test], question.target[test], question.target[train])) >= {"AUROC"}
