"""From a CSV to a patient's explanation, by the command line; and what a run promises."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from scanweave import api
from scanweave.cli.main import main
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.schema import parse_columns
from scanweave.systems.adamedgraph import evaluation, storage
from scanweave.systems.adamedgraph.system import conformal_limit

FAST = {"boosting.epochs": 8, "boosting.hidden": 4, "boosting.rounds": 3, "boosting.finalists": 4}


def table(n=80, seed=0):
    """Two visits of each patient; the second shows what became of the first."""
    rng = np.random.default_rng(seed)
    stage = np.arange(n) % 3
    first = pd.DataFrame({
        "id": [f"p{i:03d}" for i in range(n)], "year": 0.0, "stage": np.array(["I", "II", "III"])[stage],
        "bilirubin (mg/dl)": (stage * 2 + rng.normal(size=n)).round(2), "sex": rng.choice(["m", "f"], n),
        "arm": np.where(np.arange(n) < n // 2, "placebo", "drug"), "albumin": rng.normal(size=n).round(2),
    })  # fmt: skip
    first.loc[::9, "albumin"] = np.nan
    grown = (first["bilirubin (mg/dl)"] + stage - 1 + rng.normal(size=n) / 4).round(2)
    return pd.concat([first, first.assign(year=1.0, **{"bilirubin (mg/dl)": grown})], ignore_index=True)


def imported(folder, said="stage=label", frame=None):
    folder.mkdir(parents=True, exist_ok=True)
    (table() if frame is None else frame).to_csv(folder / "table.csv", index=False)
    return import_cohort(folder / "table.csv", folder / "cohort", columns=parse_columns(said), say=lambda line: None)


def fitted(cohort, run, **config):
    return api.fit("adamedgraph", cohort, run, config={**FAST, **config}, say=lambda line: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    cohort = imported(folder)
    return cohort, fitted(cohort, folder / "run")


def test_the_whole_way_by_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "REPEATS", 20)
    monkeypatch.chdir(tmp_path)
    table().to_csv("liver.csv", index=False)
    fast = [word for name, value in FAST.items() for word in (f"--{name}", str(value))]
    for command in (
        ["cohort", "import", "liver.csv", "--out", "liver", "--columns", "stage=label"],
        ["cohort", "check", "liver"],
        ["cohort", "show", "liver"],
        ["fit", "adamedgraph", "--cohort", "liver", "--run", "run", "--leave-out", "arm", *fast],
        ["predict", "run", "--cohort", "liver", "--out", "answers"],
        ["evaluate", "run", "--cohort", "liver"],
        ["explain", "run", "--cohort", "liver", "--pictures", "1"],
        ["report", "run"],
    ):
        assert main(command) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "within" in said
    assert len(pd.read_csv("answers/predictions.csv")) == 80
    assert Cohort.open("answers")["p001-v01"].labels["stage"] in ("I", "II", "III")
    page = (tmp_path / "run" / "report.html").read_text()
    for heading in ("What was learnt", "How good it is", "Which variables matter", "Patients, one by one"):
        assert heading in page
    assert page.count("<img") >= 5
    assert not re.search(r'(?:src|href)="https?:', page)


def test_evaluation_is_what_the_saved_model_says(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "REPEATS", 20)
    cohort, system = whole
    first = system.evaluate(cohort, tmp_path / "one", say=lambda line: None)
    again = api.open_run(system.run.folder).evaluate(cohort, tmp_path / "two", say=lambda line: None)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    files = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_answers_are_set_against_the_class_shares(whole, monkeypatch):
    monkeypatch.setattr(evaluation, "REPEATS", 50)
    classes = np.arange(80) % 2
    prior, sets = np.full((80, 2), 0.5), np.ones((80, 2), dtype=bool)
    patients = [f"p{number}" for number in range(80)]
    sure = np.where(np.eye(2)[classes] > 0, 0.9, 0.1)
    known = evaluation.measured(classes, sure, sets, prior, patients)
    assert known[evaluation.GAIN].value == pytest.approx(np.log(0.9 / 0.5))
    guessed = np.random.default_rng(0).dirichlet([3, 3], 80)
    assert not evaluation.measured(classes, guessed, sets, prior, patients)[evaluation.GAIN].low > 0
    assert evaluation.class_shares(whole[1]).sum() == pytest.approx(1)


def test_one_study_is_answered_as_among_all(whole, tmp_path):
    cohort, system = whole
    system.predict_cohort(cohort, tmp_path / "answers")
    answers = pd.read_csv(tmp_path / "answers" / "predictions.csv").set_index("study")
    for study in list(answers.index[:5]):
        made = system.predict(cohort[study])
        assert made.labels["stage"] == answers.loc[study, "predicted"]
        for name in ("I", "II", "III"):
            assert made.table[f"probability_{name}"] == pytest.approx(
                answers.loc[study, f"probability_{name}"], abs=1e-6
            )


def test_test_patients_do_not_touch_the_fit(whole, tmp_path):
    """Their values and labels are changed; weights, thresholds and rounds are those of before."""
    cohort, system = whole
    tested = {study.rpartition("-")[0] for study in cohort.part("test").studies}
    frame = table()
    mine = frame["id"].isin(tested)
    frame.loc[mine, "bilirubin (mg/dl)"] = 1e4
    frame.loc[mine, "stage"] = "I"
    other = fitted(imported(tmp_path, frame=frame), tmp_path / "run")
    arrays, about = storage.read_arrays(other.run.weights)
    wanted, before = storage.read_arrays(system.run.weights)
    assert about == before
    for name, array in wanted.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_stopped_fit_goes_on_bit_for_bit(whole, tmp_path, monkeypatch):
    cohort, system = whole
    write, calls = storage.write_arrays, []

    def stop(path, *rest):
        write(path, *rest)
        calls.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "write_arrays", stop)
    with pytest.raises(KeyboardInterrupt):
        fitted(cohort, tmp_path / "run")
    assert Run.open(tmp_path / "run").state == "stopped"
    monkeypatch.setattr(storage, "write_arrays", write)
    again = fitted(cohort, tmp_path / "run")
    assert again.run.weights.read_bytes() == system.run.weights.read_bytes()
    steps = [(row["step"], row["split"]) for row in again.run.metrics()]
    assert len(steps) == len(set(steps))


def test_other_settings_are_refused_in_the_same_folder(whole):
    cohort, system = whole
    with pytest.raises(ScanweaveError, match=r"boosting\.hidden was 4, now 5"):
        fitted(cohort, system.run.folder, **{"boosting.hidden": 5})


def test_explanation_names_training_patients_and_not_the_patient(whole, tmp_path):
    cohort, system = whole
    found = system.explain(cohort, tmp_path / "why", part="train", pictures=0, say=lambda line: None)
    assert (found["study"] != found["similar"]).all()
    assert set(found["similar"]) <= set(system.record.studies)
    assert found["likeness"].between(0, 1).all()
    told = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert {"graph", "homophily share", "homophily high", "vote"} <= set(told["graphs"][0])
    assert set(told["importance"]) == set(system.record.features)


def test_neighbours_are_those_of_the_graph(whole):
    from scanweave.systems.adamedgraph.similar import homophily, joined

    system = whole[1]
    nodes, choice = system.ensemble.nodes, system.ensemble.learners[0].choice
    column = choice.column(nodes.matrix)
    near = np.abs(column[:, None] - column) <= choice.threshold
    np.fill_diagonal(near, False)
    np.testing.assert_array_equal(joined(choice, nodes, nodes.matrix[3]), near[3] | (np.arange(len(column)) == 3))
    met = near.any(1)
    same = [(nodes.target[near[i]] == nodes.target[i]).mean() for i in np.flatnonzero(met)]
    assert homophily(choice, nodes).share == pytest.approx(np.mean(same))


def test_homophily_of_chance_is_told_from_that_of_a_column_with_the_outcome(whole):
    from dataclasses import replace

    from scanweave.systems.adamedgraph.similar import homophily

    nodes, choice = whole[1].ensemble.nodes, whole[1].ensemble.learners[0].choice
    matrix = nodes.matrix.copy()
    matrix[:, choice.feature] = nodes.target
    equal = replace(choice, threshold=0.0)
    assert homophily(equal, replace(nodes, matrix=matrix)).share == 1
    assert not homophily(equal, replace(nodes, matrix=matrix)).by_chance
    matrix[:, choice.feature] = np.random.default_rng(0).normal(size=len(matrix))
    assert homophily(replace(choice, threshold=0.3), replace(nodes, matrix=matrix)).by_chance


def test_likeness_of_two_patients_is_that_of_the_explanation(whole):
    from scanweave.systems.adamedgraph.similar import likeness_of, most_similar

    ensemble = whole[1].ensemble
    everyone = np.arange(len(ensemble.nodes.target))
    for one in most_similar(ensemble, ensemble.nodes.matrix[3], 5, np.arange(len(ensemble.nodes.mass)) == 3):
        assert likeness_of(ensemble, everyone)[3, one.node] == pytest.approx(one.likeness)


def test_course_is_learnt_from_controls_that_train(tmp_path):
    cohort = imported(tmp_path, "stage=feature")
    config = {"course.of": "bilirubin", "course.controls": "arm=placebo", "leave_out": ["stage"]}
    system = fitted(cohort, tmp_path / "run", **config)
    rule = system.record.question.course
    frame = table().set_index("id")
    training = {study.rpartition("-")[0] for study in cohort.part("train").studies}
    placebo = sorted(name for name in training if frame.loc[name, "arm"].iloc[0] == "placebo")
    change = frame[frame["year"] == 1]["bilirubin (mg/dl)"] - frame[frame["year"] == 0]["bilirubin (mg/dl)"]
    known = change.loc[placebo]
    assert (rule.low, rule.high) == pytest.approx((known.mean() - known.std(), known.mean() + known.std()))
    assert rule.controls == len(placebo)
    assert set(system.record.classes) == {"better", "stable", "worse"}


def test_course_of_ratios_takes_doubling_and_halving_as_equal():
    from scanweave.studies.course import learn_course
    from scanweave.studies.course_settings import CourseSettings

    change = pd.DataFrame({"change": [0.25, 0.5, 1.0, 2.0, 4.0]})
    rule = learn_course(change, pd.Series([True] * 5), CourseSettings(of="x", change="ratio"))
    assert rule.low * rule.high == pytest.approx(1)
    assert rule.high == pytest.approx(np.exp(np.std(np.log(change["change"]), ddof=1)))


def test_course_by_clinical_thresholds(tmp_path):
    config = {"course.of": "bilirubin", "course.rule": "thresholds", "course.low": -0.5, "course.high": 0.5}
    rule = fitted(imported(tmp_path, "stage=feature"), tmp_path / "run", **config).record.question.course
    assert rule.label(pd.Series([-1.0, 0.0, 0.5, 0.6, np.nan])).tolist() == [
        "better",
        "stable",
        "stable",
        "worse",
        None,
    ]


def test_conformal_limit_is_that_of_split_conformal():
    scores = np.linspace(0.1, 0.9, 9)
    assert conformal_limit(scores, 0.9) == pytest.approx(0.1)  # the 9th of 9
    assert conformal_limit(scores, 0.8) == pytest.approx(0.2)
    assert conformal_limit(scores[:5], 0.9) is None
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        shares = rng.beta(4, 2, size=41)  # of the true class
        held.append(shares[-1] >= conformal_limit(shares[:-1], 0.9))
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("said", "config", "words"),
    [
        ("stage=feature", {}, "has no label. Name one by --label"),
        ("stage=label,arm=label", {}, "has several labels. Name one by --label: stage, arm"),
        ("stage=label", {"label": "grade"}, "label: 'grade' is no label or variable"),
        ("stage=label", {"leave_out": ["bili"]}, "columns: 'bili' is no variable"),
        ("stage=label", {"columns": ["sex"], "leave_out": ["sex"]}, "no variable is left"),
        ("stage=label,id=label category", {"label": "id"}, "so it is no class"),
        ("stage=label", {"course.of": "bilirubin", "course.controls": "arm=nobody"}, "controls: 0 control patients"),
        ("stage=label", {"course.of": "bilirubin", "course.rule": "thresholds"}, "rule thresholds needs low and high"),
        ("stage=label", {"course.of": "bilirubin", "course.earliest": 9.0}, "Widen the window"),
    ],
)  # fmt: skip
def test_refused_question_is_one_line(tmp_path, said, config, words):
    with pytest.raises(ScanweaveError) as caught:
        fitted(imported(tmp_path, said), tmp_path / "run", **config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_other_systems_are_refused(whole):
    cohort, system = whole
    for verb in (system.evaluate, system.explain):
        with pytest.raises(ScanweaveError, match="--include-self: is of no meaning to the system of this run"):
            verb(cohort, include_self=True)


def test_study_without_any_variable_is_refused(whole):
    from scanweave.studies.study import Study

    with pytest.raises(ScanweaveError, match="holds no variable of this run"):
        whole[1].predict(Study("x", "x"))
