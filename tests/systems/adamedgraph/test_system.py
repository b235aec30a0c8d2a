"""From a CSV to a patient's explanation, by the command line; and what a run promises."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from changed_results import faults_at_report

from scanweave import api
from scanweave.cli.main import main
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.measures.outcomes import class_table, measure_classes
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.schema import parse_columns
from scanweave.systems.adamedgraph import evaluation, explanation, storage
from scanweave.systems.adamedgraph.system import conformal_limit

FAST = {"boosting.epochs": 8, "boosting.hidden": 4, "boosting.rounds": 3, "boosting.finalists": 4}


def table(n=80, seed=0):
    """Two visits of each patient; the second shows what became of the first."""
    rng = np.random.default_rng(seed)
    stage = np.arange(n) % 3
    first = pd.DataFrame(
        {
            "id": [f"p{i:03d}" for i in range(n)],
            "year": 0.0,
            "stage": np.array(["I", "II", "III"])[stage],
            "bilirubin (mg/dl)": (stage * 2 + rng.normal(size=n)).round(2),
            "sex": rng.choice(["m", "f"], n),
            "arm": np.where(np.arange(n) < n // 2, "placebo", "drug"),
            "albumin": rng.normal(size=n).round(2),
        }
    )
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
    assert "next: scanweave evaluate run --cohort liver" in said
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
    known = measure_classes(classes, sure, patients, evaluation.MEASURES, [sets, prior])
    assert known[evaluation.GAIN].value == pytest.approx(np.log(0.9 / 0.5))
    guessed = np.random.default_rng(0).dirichlet([3, 3], 80)
    assert not measure_classes(classes, guessed, patients, evaluation.MEASURES, [sets, prior])[evaluation.GAIN].low > 0
    assert whole[1].class_shares().sum() == pytest.approx(1)


def test_one_study_is_answered_as_among_all(whole, tmp_path):
    cohort, system = whole
    api.predict(system, cohort, tmp_path / "answers")
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
    found = system.explain(cohort, tmp_path / "why", part="train", options={"pictures": 0}, say=lambda line: None)
    assert (found["study"] != found["similar"]).all()
    assert set(found["similar"]) <= set(system.record.studies)
    assert found["likeness"].between(0, 1).all()
    told = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert {"graph", "homophily share", "homophily high", "vote"} <= set(told["graphs"][0])
    assert set(told["importance"]) == set(system.record.features)


def test_other_visits_of_the_patient_are_not_its_similar_patients(tmp_path):
    cohort = imported(tmp_path)
    system = fitted(cohort, tmp_path / "run", visits="all")
    found = system.explain(cohort, tmp_path / "why", part="train", options={"pictures": 0}, say=lambda line: None)
    assert len(set(system.record.patients)) < len(system.record.patients)
    assert (found["study"].str[:4] != found["similar"].str[:4]).all()


def test_pages_of_an_earlier_explanation_go(whole, tmp_path):
    cohort, system = whole
    for study, pages in (("p001-v01", 1), ("p002-v01", 1)):
        some = cohort.select([study])
        system.explain(some, tmp_path / "why", part="all", options={"pictures": pages}, say=lambda line: None)
    assert [path.name for path in (tmp_path / "why").glob("*.png")] == ["p002-v01.png"]


def test_named_studies_are_explained(whole, tmp_path, capsys):
    cohort, system = whole
    command = ["explain", str(system.run.folder), "--cohort", str(cohort.folder), "--out", str(tmp_path / "why")]
    assert main([*command, "--studies", "p003-v01", "p001-v01"]) == 0
    assert "studies: 2\n" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "why").glob("*.png")} == {"p001-v01.png", "p003-v01.png"}
    assert main([*command, "--studies", "p002"]) == 0
    assert [path.name for path in (tmp_path / "why").glob("*.png")] == ["p002-v01.png"]
    assert main([*command, "--studies", "p00-v01"]) == 2
    assert "Did you mean p0" in capsys.readouterr().err
    assert main([*command, "--studies", "p001-v01", "--part", "test"]) == 2


def test_names_are_those_of_the_nodes_without_a_validation_part(tmp_path):
    """With `refit` off the nodes are fewer than the training rows: the estimator sets patients aside by itself."""
    from scanweave.studies.splits import make_splits, write_splits

    cohort = imported(tmp_path)
    write_splits(cohort.folder, make_splits(cohort.patients, 4, validation=False))
    system = fitted(cohort, tmp_path / "run", **{"boosting.refit": False})
    nodes, names = system.ensemble.nodes, system.record.studies
    assert len(names) == len(nodes.target) < len(cohort.part("train").patients)
    values = table().set_index("id")["bilirubin (mg/dl)"]
    place = system.ensemble.columns.names.index("bilirubin")
    for name, value in zip(names, nodes.matrix[:, place], strict=True):
        assert values.loc[name[:4]].iloc[0] == value


def test_named_studies_join_the_page_and_leave_its_importance(whole, tmp_path):
    cohort, system = whole
    system.explain(cohort, part="train", options={"pictures": 0}, say=lambda line: None)
    command = ["explain", str(system.run.folder), "--cohort", str(cohort.folder), "--studies", "p003-v01"]
    assert main(command) == 0
    assert (system.run.folder / "explanation-named" / "p003-v01.png").is_file()
    assert main([*command[:-1], "p004-v01"]) == 0
    page = system.report(system.run.folder / "page.html").read_text()
    assert "of which the fit saw" in page
    assert "rise of the log loss" in page
    assert all(f"Explanation of {name}." in page for name in ("p003-v01", "p004-v01"))
    second = system.run.folder / "explanation-named-2"
    second.symlink_to(second.rename(tmp_path / "elsewhere"))
    assert "Explanation of p004-v01." not in system.report(system.run.folder / "page.html").read_text()


def test_what_may_give_the_outcome_away_is_told_by_fit_and_report(tmp_path):
    frame = table().query("year == 0").assign(time=1.0, status=lambda t: t["arm"])
    frame["time"] = np.arange(len(frame)) % 7
    cohort, said = imported(tmp_path, "stage=label", frame.assign(code=frame["stage"] + "x")), []
    system = api.fit("adamedgraph", cohort, tmp_path / "run", config=FAST, say=said.append)
    assert set(system.record.suspects) >= {"time", "status", "code"}
    assert any(line.startswith("caution: code alone tells stage") for line in said)
    assert "The variable “time” is, by its name, known only at the end of a study." in system.report().read_text()


def test_the_page_tells_who_trained_and_who_validated(whole, tmp_path):
    cohort, system = whole
    record = system.record
    trained, validated = (set(cohort.part(part, 0).patients) & set(record.patients) for part in ("train", "validation"))
    assert record.validated == len(validated) > 0
    words = f"{len(trained)} trained on; {len(validated)} validated on, then learnt from too"
    assert words in system.report(tmp_path / "page.html").read_text()
    about = record.model_dump(mode="json", exclude={"validated"})  # as earlier versions wrote it
    assert type(record).model_validate(about).validated is None


def test_columns_go_by_their_headings_too(tmp_path):
    frame = table().rename(columns={"stage": "Disease Stage", "arm": "Arm"})
    cohort = imported(tmp_path, "Disease Stage=label", frame)
    config = {"label": "Disease Stage", "leave_out": ["bilirubin (mg/dl)"]}
    assert set(fitted(cohort, tmp_path / "run", **config).record.features) == {"sex", "arm", "albumin"}


def test_stopped_explanation_leaves_no_trap(whole, tmp_path, monkeypatch):
    cohort, system = whole
    system.explain(cohort, tmp_path / "why", part="all", options={"pictures": 1}, say=lambda line: None)
    monkeypatch.setattr(explanation, "page_of", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        system.explain(cohort, tmp_path / "why", part="all", options={"pictures": 1}, say=lambda line: None)
    assert not (tmp_path / "why" / "explanation.json").exists()
    system.report(tmp_path / "page.html")


def test_report_of_a_rare_class_and_of_one_called_none(tmp_path, monkeypatch):
    """A class of one test patient has no interval, and none of its names is taken for a gap."""
    monkeypatch.setattr(evaluation, "REPEATS", 20)
    frame = table().query("year == 0").assign(stage=lambda t: t["stage"].map({"I": "None", "II": "NA.", "III": "III"}))
    cohort = imported(tmp_path, "stage=label category", frame)
    system = fitted(cohort, tmp_path / "run")
    tested = cohort.part("test")
    labels = {study.id: study.labels["stage"] for study in tested}
    rare = sorted(set(labels), key=lambda name: labels[name])
    one = [name for name in rare if labels[name] == "None"][:1]
    others = [name for name in rare if labels[name] != "None"]
    found = system.evaluate(tested.select([*one, *others]), say=lambda line: None).set_index("measure")
    assert np.isnan(found.loc["AUROC", "low"])
    assert found.loc["log loss", "low"] < found.loc["log loss", "high"]
    page = system.report(tmp_path / "page.html").read_text()
    assert "called None" in page
    of_one_class = cohort.select([name for name in rare if labels[name] == "None"])
    assert "AUROC" not in set(system.evaluate(of_one_class, part="all", say=lambda line: None)["measure"])
    assert "called None" in system.report(tmp_path / "page.html").read_text()


class TestNewPatients:
    """Tables of others: what they lack, and what is not as in training."""

    def answers(self, system, folder, frame, like=True):
        folder.mkdir()
        frame.to_csv(folder / "new.csv", index=False)
        options = {"like": system.run.folder} if like else {}
        cohort = import_cohort(folder / "new.csv", folder / "cohort", say=lambda line: None, **options)
        lines = []
        api.predict(system, cohort, folder / "answers", say=lines.append)
        return pd.read_csv(folder / "answers" / "predictions.csv"), "\n".join(lines)

    def test_absent_column_counts_as_missing_and_is_told(self, whole, tmp_path):
        new = table(6, seed=1).query("year == 0 and albumin.notna()").drop(columns="bilirubin (mg/dl)")
        found, told = self.answers(whole[1], tmp_path / "new", new.rename(columns={"sex": "sexe"}))
        assert "note: the cohort holds no 'bilirubin', which counts as missing" in told
        assert (found["missing"] == 2).all()
        given = table(6, seed=1).query("year == 0 and albumin.notna()").assign(sex=None, **{"bilirubin (mg/dl)": None})
        same, _ = self.answers(whole[1], tmp_path / "same", given)
        pd.testing.assert_frame_equal(found.filter(like="probability"), same.filter(like="probability"))

    def test_unknown_category_is_told(self, whole, tmp_path):
        new = table(6, seed=1).query("year == 0").assign(sex="x")
        assert "note: sex 'x' is in no training patient" in self.answers(whole[1], tmp_path / "new", new)[1]

    def test_text_for_numbers_is_refused_with_the_way_out(self, whole, tmp_path):
        new = table(6, seed=1).query("year == 0").astype(object)
        new.loc[:3, "albumin"] = "low"
        with pytest.raises(
            ScanweaveError, match=r"'albumin': holds text such as 'low' where .* Import the table with --like"
        ):
            self.answers(whole[1], tmp_path / "new", new, like=False)
        assert self.answers(whole[1], tmp_path / "like", new)[0]["missing"].max() == 1

    def test_values_far_outside_are_told(self, whole, tmp_path):
        new = table(6, seed=1).query("year == 0")
        found, told = self.answers(whole[1], tmp_path / "new", new.assign(**{"bilirubin (mg/dl)": 68.0}))
        assert "caution: bilirubin 68 and 5 more, where training patients had -" in told
        assert (found["outside"] == 1).all()
        found, told = self.answers(whole[1], tmp_path / "same", new.assign(**{"bilirubin (mg/dl)": 2.0}))
        assert "caution: bilirubin" not in told

    def test_other_unit_is_refused(self, whole, tmp_path):
        new = table(6, seed=1).query("year == 0").rename(columns={"bilirubin (mg/dl)": "bilirubin (umol/l)"})
        with pytest.raises(ScanweaveError, match="'bilirubin': is in umol/l, the run learnt mg/dl"):
            self.answers(whole[1], tmp_path / "new", new, like=False)

    def test_table_of_other_things_is_refused(self, whole, tmp_path):
        with pytest.raises(ScanweaveError, match="has no variable of this run"):
            self.answers(whole[1], tmp_path / "new", pd.DataFrame({"id": ["a", "b"], "x": [1, 2]}), like=False)


def test_cautions_are_given_where_they_are_due(whole):
    def said(gain, coverage, size):
        rows = [("gain over the class shares", *gain), ("coverage", *coverage), ("size of the set", *size)]
        named = [dict(zip(("measure", "value", "low", "high"), row, strict=True)) for row in rows]
        return " ".join(evaluation.cautions(named, whole[1].record))

    assert said((0.2, 0.1, 0.3), (0.9, 0.8, 1.0), (1.5, 1.2, 1.8)) == ""
    assert "it is not shown" in said((0.1, -0.1, 0.3), (0.9, 0.8, 1.0), (1.5, 1.2, 1.8))
    assert "are worse than" in said((-0.2, -0.3, -0.1), (0.9, 0.8, 1.0), (1.5, 1.2, 1.8))
    assert "in 70% of patients, not in the 90% meant" in said((0.2, 0.1, 0.3), (0.7, 0.6, 0.8), (1.5, 1.2, 1.8))
    assert "nearly every class" in said((0.2, 0.1, 0.3), (1.0, 1.0, 1.0), (2.97, 2.9, 3.0))


def test_each_class_is_measured_against_the_others():
    classes = np.repeat([0, 1, 2], 20)
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 60) + 0.4 * np.eye(3)[classes]
    shares /= shares.sum(1, keepdims=True)
    sets, names = shares > 0.3, ("a", "b", "c")
    found = class_table(classes, shares, names, [f"p{i}" for i in range(60)], sets).set_index("class")
    assert found.loc["b", "coverage"] == sets[20:40, 1].mean()
    called = shares.argmax(1)
    assert found.loc["b", "sensitivity"] == (called[20:40] == 1).mean()
    assert found.loc["b", "specificity"] == (np.delete(called, np.arange(20, 40)) != 1).mean()
    beaten = (shares[20:40, 1][:, None] > np.delete(shares[:, 1], np.arange(20, 40))).mean()
    assert found.loc["b", "AUROC"] == pytest.approx(beaten)
    assert (found["AUROC low"] < found["AUROC"]).all()
    twice = class_table(classes, shares, names, [f"p{i // 2}" for i in range(60)], sets).set_index("class")
    assert twice.loc["b", "sensitivity"] == pytest.approx(found.loc["b", "sensitivity"])


def test_neighbours_are_those_of_the_graph(whole):
    from scanweave.systems.adamedgraph.attribution import joined
    from scanweave.systems.adamedgraph.similar import homophily

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
    from scanweave.systems.adamedgraph.attribution import voices
    from scanweave.systems.adamedgraph.similar import likeness_of, most_similar

    ensemble = whole[1].ensemble
    everyone, row = np.arange(len(ensemble.nodes.target)), ensemble.nodes.matrix[3]
    for one in most_similar(ensemble, row, voices(ensemble, row, everyone == 3), 5).listed:
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


def test_course_run_answers_those_whose_course_is_not_known(tmp_path):
    system = fitted(imported(tmp_path, "stage=feature"), tmp_path / "run", **{"course.of": "bilirubin"})
    first = table(8, seed=1).query("year == 0")
    for change, said in (
        (first, "stage=feature,year=time"),
        (first.drop(columns="year"), "stage=feature"),
        (first.drop(columns="bilirubin (mg/dl)"), "stage=feature,year=time"),
    ):
        cohort = imported(tmp_path / f"new{len(change.columns)}{said[-4:]}", said, change)
        assert len(system.answer(cohort, say=lambda line: None).probabilities) == 8


def test_first_visit_of_a_course_is_the_first_with_its_value(tmp_path):
    frame = table()
    again = frame[frame["year"] == 1].assign(year=2.0)
    frame.loc[(frame["year"] == 0) & frame["id"].isin(["p001", "p002"]), "bilirubin (mg/dl)"] = np.nan
    cohort = imported(tmp_path, "stage=feature", pd.concat([frame, again]))
    system = fitted(cohort, tmp_path / "run", **{"course.of": "bilirubin"})
    answered = system.answer(cohort, say=lambda line: None).samples
    assert {"p001-v02", "p002-v02", "p003-v01"} <= set(answered.studies)
    assert answered.labels.notna().all()


def test_course_of_ratios_takes_doubling_and_halving_as_equal():
    from scanweave.systems.adamedgraph.course_settings import CourseSettings
    from scanweave.systems.adamedgraph.patient_course import learn_course

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


@pytest.mark.parametrize("percent", [55, 56, 68, 81])
def test_conformal_rank_is_exact(percent):
    scores = np.arange(1, 100) / 100  # of 99: the rank is the percentage itself
    assert conformal_limit(scores, percent / 100) == scores[-percent]


def test_conformal_limit_is_that_of_split_conformal():
    scores = np.linspace(0.1, 0.9, 9)
    assert conformal_limit(scores, 0.9) == pytest.approx(0.1)  # the 9th of 9
    assert conformal_limit(scores, 0.8) == pytest.approx(0.2)
    assert conformal_limit(scores[:5], 0.9) is None
    ties = np.array([0.1, *[0.3] * 8, 0.9])
    assert (ties >= conformal_limit(ties, 0.8)).mean() >= 0.8
    third = 1 - 2 / 3
    assert conformal_limit(np.full(9, third), 0.9) <= third  # 1 - (1 - p) is not p
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
        ("stage=label", {"course.of": "arm"}, "course.of: 'arm' holds no numbers"),
        ("stage=label", {"boosting.learner": "gcn"}, "boosting.learner: only appnp can be kept in a run"),
        (
            "stage=label",
            {"boosting.validation_fraction": 0.4},
            "validation_fraction: has no effect: the validation part",
        ),
        ("stage=label", {"boosting.hidden": 10**11}, "boosting.hidden: one learner of 64 patients takes"),
    ],
)
def test_refused_question_is_one_line_and_leaves_no_folder(tmp_path, said, config, words):
    with pytest.raises(ScanweaveError) as caught:
        fitted(imported(tmp_path, said), tmp_path / "runs" / "run", **config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_what_a_table_does_not_need_is_refused(whole, tmp_path):
    cohort, system = whole
    with pytest.raises(ScanweaveError, match="workers: have no effect: adamedgraph learns from a table"):
        api.fit("adamedgraph", cohort, tmp_path / "run", config=FAST, workers=2, say=lambda line: None)
    with pytest.raises(ScanweaveError, match="device: has no effect: AdaMedGraph computes on the CPU only"):
        api.open_run(system.run.folder, "cuda")
    with pytest.raises(ScanweaveError, match="slices: have no effect: adamedgraph reads no volumes"):
        system.evaluate(cohort, tmp_path / "look", slices=3)
    assert not list(tmp_path.iterdir())


def test_options_of_other_systems_are_refused(whole):
    cohort, system = whole
    for verb in (system.evaluate, system.explain):
        with pytest.raises(ScanweaveError, match="include_self: there is no such setting"):
            verb(cohort, options={"include_self": True})


def test_study_without_any_variable_is_refused(whole):
    from scanweave.studies.study import Study

    with pytest.raises(ScanweaveError, match="holds no variable of this run"):
        whole[1].predict(Study("x", "x"))


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(whole, tmp_path, monkeypatch):
    cohort, system = whole
    monkeypatch.setattr(evaluation, "REPEATS", 20)
    run = shutil.copytree(system.run.folder, tmp_path / "sound")
    made = api.open_run(run, "cpu")
    made.evaluate(cohort, say=lambda line: None)
    made.explain(cohort, options={"pictures": 1}, say=lambda line: None)
    tried, faults = faults_at_report(run, tmp_path, seeds=3)
    assert tried >= 27
    assert not faults, "\n".join(faults)
