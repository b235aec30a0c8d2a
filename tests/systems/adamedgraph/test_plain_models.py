"""A run stands beside plain models that learnt from the same patients."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from scanweave.framework.table_columns import Columns, Scaler
from scanweave.measures.classification import multiclass_auroc
from scanweave.systems.adamedgraph import plain_models
from scanweave.systems.adamedgraph.ensemble import Nodes
from scanweave.systems.adamedgraph.plain_models import (
    LOGISTIC,
    OURS,
    TREES,
    compare_models,
    fit_plain_models,
    verdict,
)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(plain_models, "TREE_ROUNDS", 40)


def learnt(n=200, seed=0, classes=2):
    """Return what an ensemble keeps of its training patients: a number that decides, a category that helps, gaps."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=n), "kind": rng.choice(["a", "b"], n), "noise": rng.normal(size=n)})
    score = 2 * table["x"] + 2 * (table["kind"] == "a")
    target = (rng.random(n) < expit(score)).astype(np.int64) if classes == 2 else np.digitize(score, [0, 2]).astype(int)
    table.loc[::7, "noise"] = np.nan
    columns = Columns.of(table, "auto")
    matrix, mass = columns.matrix(table), np.ones(n)
    scaler = Scaler.of(matrix, columns, mass, "standard")
    nodes = Nodes(matrix, scaler(matrix, range(3)), target, mass)
    return SimpleNamespace(nodes=nodes, columns=columns, scaler=scaler, classes=classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_plain_models_tell_what_can_be_told(classes):
    model, new = learnt(classes=classes), learnt(seed=1, classes=classes).nodes
    for name, answers in fit_plain_models(model, range(200)).items():
        shares = answers(new.matrix)
        assert shares.shape == (200, classes)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert multiclass_auroc(new.target, shares) > 0.75, name


def test_folds_hold_no_patient_twice_and_the_same_call_gives_the_same():
    model = learnt()
    owners = [f"p{number // 4}" for number in range(200)]
    for train, test in plain_models._folds(model.nodes.target, owners, 0):
        assert not {owners[i] for i in train} & {owners[i] for i in test}
    first, second = (fit_plain_models(model, owners, seed=3) for _ in range(2))
    for name in (LOGISTIC, TREES):
        np.testing.assert_array_equal(first[name](model.nodes.matrix), second[name](model.nodes.matrix))


def test_a_class_of_one_patient_is_no_hindrance():
    model = learnt()
    target = np.where(np.arange(200) == 5, 2, model.nodes.target)
    model.nodes, model.classes = Nodes(model.nodes.matrix, model.nodes.inputs, target, model.nodes.mass), 4
    for answers in fit_plain_models(model, range(200)).values():
        shares = answers(model.nodes.matrix)
        assert shares.shape == (200, 4)
        assert (shares[:, 3] == 0).all()  # nobody had it


def test_the_verdict_follows_from_the_paired_difference():
    rng = np.random.default_rng(2)
    score = rng.normal(size=300)
    classes = (rng.random(300) < expit(2 * score)).astype(np.int64)

    def told(gain):
        share = expit(gain * score)
        return np.stack([1 - share, share], axis=1)

    good, poor, patients = told(2), told(0.2), [f"p{number}" for number in range(300)]
    behind = compare_models(classes, {OURS: poor, LOGISTIC: good, TREES: told(0.1)}, patients, repeats=200)
    words, doubt = verdict(behind)
    assert doubt
    assert words.startswith("A plain model does better: logistic regression")
    assert "; ahead by 0." in words
    row = behind[(behind["model"] == LOGISTIC) & (behind["measure"] == "log loss")].iloc[0]
    losses = [-np.log(shares[np.arange(300), classes]) for shares in (good, poor)]
    assert row["value"] == pytest.approx(losses[0].mean())
    assert row["ahead"] == pytest.approx(losses[0].mean() - losses[1].mean())
    assert row["ahead_low"] < row["ahead"] < row["ahead_high"] < 0
    ahead, doubt = verdict(compare_models(classes, {OURS: good, LOGISTIC: poor, TREES: poor}, patients, repeats=200))
    assert (ahead.split(" than")[0], doubt) == ("AdaMedGraph does better", False)
    assert "; AdaMedGraph ahead by +0." in ahead
    level, doubt = verdict(
        compare_models(classes, {OURS: good, LOGISTIC: told(2.1), TREES: poor}, patients, repeats=200)
    )
    assert doubt
    assert level.startswith("It is not shown")
    areas = behind[behind["measure"] == "AUROC"].set_index("model")["value"]
    assert areas[OURS] == pytest.approx(areas[LOGISTIC])  # the order of the patients is the same
