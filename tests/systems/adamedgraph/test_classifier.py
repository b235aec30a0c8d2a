"""The estimator: scikit-learn's own checks, tables with gaps and text, and answers for patients that come alone."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from scanweave.errors import ScanweaveError
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier
from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.storage import load, save

FAST = {"epochs": 8, "hidden": 4, "rounds": 2, "finalists": 4}
TINY = {
    "epochs": 12,
    "hidden": 3,
    "rounds": 1,
    "finalists": 2,
    "levels": (0.25,),
    "teleports": (0.5,),
    "learning_rate": 0.2,
    "steps": 2,
}
UNEQUAL = {
    "check_sample_weight_equivalence_on_dense_data": "validation and folds are drawn by row: repeating rows moves them"
}


@parametrize_with_checks(
    [AdaMedGraphClassifier(**TINY), AdaMedGraphClassifier(**{**TINY, "finalists": None}, validation_fraction=0)],
    expected_failed_checks=lambda estimator: UNEQUAL if estimator.validation_fraction else {},
)
def test_is_an_estimator(estimator, check):
    check(estimator)


def mixed(n=60, seed=0):
    """A table with numbers, gaps, text and yes/no, and its classes."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 3
    frame = pd.DataFrame(
        {
            "bilirubin": np.where(rng.random(n) < 0.2, np.nan, target * 3 + rng.normal(size=n)),
            "sex": rng.choice(["male", "female", None], n),
            "treated": rng.random(n) < 0.5,
            "age": rng.integers(30, 80, n),
        }
    )
    return frame, np.array(["better", "stable", "worse"])[target]


def test_settings_are_those_of_the_configuration():
    defaults = {name: one.default for name, one in inspect.signature(AdaMedGraphClassifier).parameters.items()}
    assert defaults == {name: field.default for name, field in BoostingSettings.model_fields.items()}


def test_table_with_gaps_text_and_unseen_categories():
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST).fit(frame, target)
    strange = frame.head(3).assign(sex=["martian", None, "male"], bilirubin=[np.nan, 1.0, None])
    assert np.isfinite(model.predict_proba(strange)).all()
    assert (model.predict(frame) == target).mean() > 0.6


def test_order_of_rows_and_index_of_the_frame_do_not_matter_to_answers():
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST).fit(frame, target)
    turned = frame.iloc[::-1]
    np.testing.assert_allclose(model.predict_proba(turned), model.predict_proba(frame)[::-1], atol=1e-12)


@pytest.mark.parametrize("learner", ["appnp", "gcn", "sage", "gat"])
def test_row_alone_gets_the_answer_of_the_batch(learner):
    if learner != "appnp":
        pytest.importorskip("torch_geometric")
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST, learner=learner).fit(frame, target)
    new = mixed(12, seed=1)[0]
    together = model.predict_proba(new)
    alone = np.vstack([model.predict_proba(new.iloc[[i]]) for i in range(len(new))])
    np.testing.assert_allclose(alone, together, atol=1e-6, rtol=0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_new_patient_is_answered_by_the_written_rule(number):
    """The inductive rule, spelled out on the dense matrix of the training patients; of every learner (fault 9)."""
    matrix = np.random.default_rng(0).normal(size=(40, 3))
    target = (matrix[:, 0] > 0).astype(int)
    model = AdaMedGraphClassifier(**{**FAST, "rounds": 3, "learning_rate": 0.2}, validation_fraction=0)
    model.fit(matrix, target)
    ensemble, x = model.ensemble_, np.array([[0.1, -0.2, 0.3]])
    learner = ensemble.learners[number]
    feature, theta, a = learner.choice.feature, learner.choice.threshold, learner.choice.teleport
    near = np.abs(matrix[:, feature][:, None] - matrix[:, feature]) <= theta
    degree = near.sum(1)
    met = np.abs(matrix[:, feature] - x[0, feature]) <= theta
    own = met.sum() + 1
    with torch.no_grad():
        start = learner.weights(torch.from_numpy(ensemble.nodes.inputs.T.copy()))[0].numpy().T
        first = learner.weights(torch.from_numpy(ensemble.scaler(x, ensemble.read).T.copy()))[0].numpy().T
    state, alone = start, first
    for _ in range(learner.steps):
        received = (met / np.sqrt(degree * own)) @ state + alone / own
        state = (1 - a) * (near / np.sqrt(degree[:, None] * degree)) @ state + a * start
        alone = (1 - a) * received + a * first
    np.testing.assert_allclose(learner.new_logits(x, ensemble.scaler(x, ensemble.read)), alone, atol=1e-10)
    np.testing.assert_allclose(learner.training_logits(ensemble.nodes), state, atol=1e-10)


def test_transductive_fit_and_answer_are_of_one_graph():
    """As in the paper: test patients are nodes while learners are trained; their classes are not known."""
    frame, target = mixed()
    new = mixed(15, seed=1)[0]
    options = {**FAST, "transductive": True, "validation_fraction": 0}
    model = AdaMedGraphClassifier(**options).fit(frame, target, unlabelled=new)
    without = AdaMedGraphClassifier(**options).fit(frame, target)
    assert len(model.ensemble_.nodes.mass) == len(frame)
    assert not np.allclose(model.predict_proba(new), without.predict_proba(new))
    halves = np.vstack([model.predict_proba(new[:7]), model.predict_proba(new[7:])])
    assert not np.allclose(halves, model.predict_proba(new))  # which is why it is not the default


def test_new_patients_are_scaled_as_the_training_patients_were():  # fault 10
    frame, target = mixed()
    ensemble = AdaMedGraphClassifier(**FAST, validation_fraction=0).fit(frame, target).ensemble_
    new = frame.head(1).assign(age=70, bilirubin=None)
    known = frame["bilirubin"].dropna()
    values = ensemble.scaler(ensemble.columns.matrix(new), ensemble.read)[0]
    assert len(values) == ensemble.nodes.inputs.shape[1] == 2 + 3 + 1 + 1  # gaps of bilirubin and sex are told
    assert list(values[:2]) == [0, 1]  # missing: at the mean, and told
    assert values[-1] == pytest.approx((70 - frame["age"].mean()) / frame["age"].std(ddof=0))
    there = ensemble.scaler(ensemble.columns.matrix(frame.assign(bilirubin=known.max())), ensemble.read)[:, 0]
    np.testing.assert_allclose(there, (known.max() - known.mean()) / known.std(ddof=0))


def test_new_patients_meet_the_threshold_that_was_chosen():  # fault 9: the released code takes the last one it tried
    frame, target = mixed()
    ensemble = AdaMedGraphClassifier(**FAST).fit(frame, target).ensemble_
    for learner in ensemble.learners:
        column = learner.choice.column(ensemble.nodes.matrix)
        there = column[~np.isnan(column)]
        new = ensemble.nodes.matrix[:1].copy()
        new[0, learner.choice.feature] = there[0]
        low, high = np.searchsorted(learner.values, there[0] + np.array([-1, 1]) * (learner.choice.threshold + 1e-9))
        met = np.abs(there - there[0]) <= learner.choice.threshold
        assert learner.mass_before[high] - learner.mass_before[low] == met.sum()


def test_saved_model_answers_bit_for_bit(tmp_path):  # fault 2
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST, dropout=0.3).fit(frame, target)
    save(tmp_path / "weights.safetensors", model.ensemble_)
    again = load(tmp_path / "weights.safetensors")
    matrix = again.columns.matrix(frame)
    np.testing.assert_array_equal(again.probabilities(matrix), model.predict_proba(frame))
    assert again.settings == model.ensemble_.settings


def test_broken_file_is_one_line(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(ScanweaveError, match=r"weights\.safetensors: cannot be loaded"):
        load(path)


def test_patient_of_weight_zero_is_not_there():
    frame, target = mixed()
    weight = np.where(np.arange(len(frame)) < 40, 1.0, 0.0)
    options = {**FAST, "validation_fraction": 0}
    one = AdaMedGraphClassifier(**options).fit(frame, target, weight)
    other = AdaMedGraphClassifier(**options).fit(frame[:40], target[:40])
    np.testing.assert_array_equal(one.predict_proba(frame), other.predict_proba(frame))


def test_stopped_fit_goes_on_to_the_same_model():
    frame, target = mixed()
    whole: list = []
    options = {**FAST, "rounds": 3, "patience": 9}
    model = AdaMedGraphClassifier(**options).fit(
        frame, target, after_round=lambda turn, now, _: whole.append(now.learners)
    )
    for stop in whole[:-1]:
        again = AdaMedGraphClassifier(**options).fit(frame, target, earlier=stop)
        np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_search_on_some_patients_gives_the_winner_all():
    frame, target = mixed(90)
    model = AdaMedGraphClassifier(**FAST, search_rows=30, validation_fraction=0).fit(frame, target)
    assert all(
        one.mass_before[-1] == frame.iloc[:, one.choice.feature].notna().sum() for one in model.ensemble_.learners
    )


@pytest.mark.parametrize("voting", ["soft", "votes", "logits", "running"])
def test_named_switches_of_the_published_method(voting):
    frame, target = mixed()
    model = AdaMedGraphClassifier(
        **FAST,
        voting=voting,
        thresholds="values",
        loss_weights="class",
        class_weight="balanced",
        shrinkage=0.3,
        shrink="first",
        scaling="minmax",
        refit=False,
        calibrate=False,
        dropout=0.1,
    ).fit(frame, target)
    np.testing.assert_allclose(model.predict_proba(frame).sum(1), 1)


def test_without_graphs_it_is_a_boosted_network():
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST, graphs="none").fit(frame, target)
    assert {one.choice.feature for one in model.ensemble_.learners} == {None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rounds": 0}, "rounds: Input should be greater than 0"),
        ({"levels": (0.5, 1.5)}, "levels.1: Input should be less than 1"),
        ({"voting": "loud"}, "voting: Input should be"),
        ({"edge_features": ["bili"]}, "edge_features: there is no column 'bili'. Choose from bilirubin, sex"),
        ({"categorical_features": [9]}, "categorical_features: there is no column 9"),
    ],
)
def test_refused_setting_is_named(change, words):
    frame, target = mixed()
    with pytest.raises(ScanweaveError) as caught:
        clone(AdaMedGraphClassifier(**FAST)).set_params(**change).fit(frame, target)
    assert str(caught.value).startswith(words)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.date_range("2020-01-01", periods=60), "column 'age': holds dates"),
        (np.full(60, np.inf), "column 'age': holds infinity"),
    ],
)
def test_refused_column_is_named(column, words):
    frame, target = mixed()
    with pytest.raises(ScanweaveError, match=words):
        AdaMedGraphClassifier(**FAST, categorical_features=["sex"]).fit(frame.assign(age=column), target)


@pytest.mark.parametrize("scale", [1 / 60, 0.4 / 60, 1, 50])
def test_scale_of_weights_does_not_silence_votes(scale):
    frame, target = mixed()
    options = {**FAST, "epochs": 60, "learning_rate": 0.1, "validation_fraction": 0}
    model = AdaMedGraphClassifier(**options).fit(frame, target, sample_weight=np.full(60, scale))
    plain = AdaMedGraphClassifier(**options).fit(frame, target)
    np.testing.assert_allclose(model.ensemble_.votes, plain.ensemble_.votes, rtol=1e-6)


def test_weights_of_balanced_classes_are_those_of_the_masses():
    frame, target = mixed()
    weight = 1.0 + (target == "worse")
    balanced = AdaMedGraphClassifier(**FAST, class_weight="balanced", validation_fraction=0)
    model = balanced.fit(frame, target, sample_weight=weight)
    twice = np.flatnonzero(target == "worse")
    rows = np.concatenate([np.arange(60), twice])
    again = balanced.fit(frame.iloc[rows], target[rows])
    np.testing.assert_allclose(
        [one.vote for one in model.ensemble_.learners], [one.vote for one in again.ensemble_.learners], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"groups": np.arange(59)}, "groups: has the shape"),
        ({"validation": np.ones(59, bool)}, "validation: has the shape"),
        ({"validation": np.ones(60, bool)}, "validation: leaves fewer than two classes"),
    ],
)
def test_refused_row_by_row_argument_is_named(option, words):
    frame, target = mixed()
    with pytest.raises(ScanweaveError) as caught:
        AdaMedGraphClassifier(**FAST).fit(frame, target, **option)
    assert str(caught.value).startswith(words)


def test_class_without_weight_is_no_class():
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST).fit(frame, target, sample_weight=(target != "worse").astype(float))
    assert list(model.classes_) == ["better", "stable"]


def test_text_where_numbers_were_learnt_is_named():
    frame, target = mixed()
    model = AdaMedGraphClassifier(**FAST).fit(frame, target)
    with pytest.raises(ScanweaveError, match="column 'age': holds text where numbers were learnt"):
        model.predict(frame.assign(age="old"))
