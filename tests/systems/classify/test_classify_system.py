"""Classify from a cohort to a report, by classes and by findings, films and volumes."""

import json
import shutil

import numpy as np
import pytest
from changed_results import faults_at_report
from square_films import SMALL, make_cohort, views

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.configuration import configure
from scanweave.framework.classification.question import ask
from scanweave.studies.formats.image_reader import read_scan


def quiet(line):
    """Say nothing."""


def test_square_in_the_film_is_told_from_noise(fitted, films):
    summary = fitted.evaluate(films, part="all", say=quiet).set_index(["outcome", "measure"])
    area = summary.loc[("ill", "AUROC")]
    assert area["value"] > 0.9
    assert area["control"] == 0.5
    assert summary.loc[("ill: 1", "AUPRC"), "control"] == pytest.approx(0.5)
    assert ("ill: 1", "sensitivity at the operating point") in summary.index


def test_the_way_by_the_command_line(fitted, films, tmp_path, capsys):
    run, folder = str(fitted.run.folder), str(films.folder)
    targets = ["--targets", "ill,embedding"]
    assert main(["predict", run, "--cohort", folder, "--out", str(tmp_path / "p"), "--part", "test", *targets]) == 0
    made = sw.Cohort.open(tmp_path / "p")
    study = made[made.studies[0]]
    shares = [study.table[f"probability_{name}"] for name in ("0", "1")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert study.labels["ill"] == str(int(np.argmax(shares)))
    assert main(["evaluate", run, "--cohort", folder]) == 0
    assert "class shares alone" in capsys.readouterr().out
    assert main(["explain", run, "--cohort", folder, "--maps", "2"]) == 0
    page = fitted.report().read_text()
    assert "Where it looked" in page
    assert "Not made yet" not in page


def test_answers_that_are_guesses_are_told_at_the_top_of_the_page(fitted, films, tmp_path):
    fitted.evaluate(films, tmp_path / "e", part="all", say=quiet)
    words = "Plainly not learnt: AUROC of ill 0.51, where 0.5 is chance."
    assert "Plainly not learnt" not in fitted.report(tmp_path / "good.html", results=[tmp_path / "e"]).read_text()
    path = tmp_path / "e" / "summary.json"
    record = json.loads(path.read_text())
    for row in record["rows"]:
        row["value"] = 0.51 if row["measure"] == "AUROC" else row["value"]
    path.write_text(json.dumps(record))
    page = fitted.report(tmp_path / "page.html", results=[tmp_path / "e"]).read_text()
    assert page.index(words) < page.index('id="s2-how-it-learnt"')


def test_embedding_is_what_the_last_layer_reads(fitted, films):
    study = films["s01"]
    made = fitted.predict(study, ["embedding"])
    head = fitted.classifier.network.head.linear
    logits = made.embeddings["classify"] @ head.weight.numpy().T + head.bias.numpy()
    shares = np.exp(logits) / np.exp(logits).sum()
    assert not made.labels
    assert shares == pytest.approx(fitted.probabilities(study), abs=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_map_lies_on_the_native_grid_where_the_square_is(fitted, films, tmp_path, method):
    fitted.explain(films, tmp_path, part="all", options={"method": method, "of": "1", "maps": 1}, say=quiet)
    [row] = json.loads((tmp_path / "explanation.json").read_text())["rows"]
    found = read_scan(tmp_path / row["study"] / f"{row['study']}_{method}.nii.gz")
    film = films[row["study"]]["film"]
    assert found.geometry.matches(film.geometry)
    values = np.asarray(found.data)[..., 0]
    assert values.min() >= 0
    assert values[3:9, 3:9].mean() > 2 * values[12:, 12:].mean()
    assert (tmp_path / row["picture"]).stat().st_size > 1000


def test_findings_absent_in_part_are_learnt_where_they_are_known(tmp_path):
    def labels(number):
        row = {"label:square": number % 2, "label:other": (-1, 0, 1)[number % 3]}
        return {name: value for name, value in row.items() if not (name == "label:other" and number % 4 == 0)}

    cohort = make_cohort(tmp_path / "c", labels=labels)
    settings = {**SMALL, "labels": ["square", "other"], "loss": {"class_weights": "balanced"}}
    lines: list[str] = []
    run = sw.fit("classify", cohort, tmp_path / "run", config=settings, say=lines.append)
    assert run.plan.kind == "findings"
    assert any(line.startswith("findings: square, other; training studies: square ") for line in lines)
    made = run.predict(cohort["s01"], ["square"])
    assert set(made.labels) == {"square"}
    summary = run.evaluate(cohort, part="all", say=quiet)
    uncertain = summary[summary["outcome"] == "other"]
    assert set(uncertain["studies"]) == {12}  # 24 less 6 absent and 6 of the others uncertain
    assert {"mean of the findings", "square", "other"} == set(summary["outcome"])
    run.report()


def test_volumes_with_absent_scans_and_three_classes(tmp_path):
    def labels(number):
        return {"label:grade": ("low", "high", "middle")[number % 3]}

    cohort = make_cohort(tmp_path / "c", patients=18, shape=(18, 20, 17), scans=("t1", "t2"), labels=labels)
    config = {**SMALL, "training": {**SMALL["training"], "steps": 4, "validate_every": 2, "batch_size": 2}}
    run = sw.fit("classify", cohort, tmp_path / "run", config=config, say=quiet)
    assert run.plan.dimensions == 3
    assert run.plan.size == (17, 20, 18)
    study = cohort["s02"]
    alone = run.probabilities(study.only(["t1"]))
    assert alone.sum() == pytest.approx(1)
    assert not np.array_equal(alone, run.probabilities(study))
    table = run.evaluate(cohort, part="all", say=quiet)
    assert set(table["outcome"]) == {"grade"}
    run.explain(cohort, part="all", options={"maps": 1}, say=quiet)
    run.report()


def test_films_of_two_views_go_through_one_encoder(tmp_path):
    cohort, lines = views(tmp_path), []
    run = sw.fit("classify", cohort, tmp_path / "run", config=SMALL, say=lines.append)
    assert run.plan.views
    assert "scans: frontal, lateral are views, each through the same encoder" in "\n".join(lines)
    study = cohort["s01"]
    both = run.predict(study, ["embedding"]).embeddings["classify"]
    each = [run.predict(study.only([name]), ["embedding"]).embeddings["classify"] for name in study.scans]
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-5)
    summary = run.evaluate(cohort, part="all", say=quiet).set_index(["outcome", "measure"])
    assert summary.loc[("ill", "AUROC"), "value"] > 0.7
    for method in ("gradcam", "occlusion"):
        run.explain(cohort, tmp_path / method, part="all", options={"method": method, "of": "1", "maps": 1}, say=quiet)
        [row] = json.loads((tmp_path / method / "explanation.json").read_text())["rows"]
        found = read_scan(tmp_path / method / row["study"] / f"{row['study']}_{method}.nii.gz")
        assert found.geometry.shape == cohort[row["study"]][row["scan"]].geometry.shape
    alike = cohort.having("frontal", "lateral")
    with pytest.raises(sw.ScanweaveError, match=r"in no training study do its scans .* share a grid"):
        sw.fit("seq2seq", alike, tmp_path / "no", say=quiet)


def test_fit_begins_from_another_run(fitted, films, tmp_path, capsys):
    words = ["fit", "classify", "--cohort", str(films.folder), "--from", str(fitted.run.folder)]
    sizes = ["--network.encoder", "resnet10", "--network.width", "0.125", "--training.steps", "1"]
    assert main([*words, "--run", str(tmp_path / "run"), *sizes, "--training.workers", "0"]) == 0
    assert "start weights: 100.0 % of encoder" in capsys.readouterr().out
    begun = sw.open_run(tmp_path / "run")
    assert begun.config.start.source == str(fitted.run.folder)
    no_network = ["fit", "adamedgraph", "--cohort", str(films.folder), "--run", str(tmp_path / "no")]
    assert main([*no_network, "--from", "x"]) == 2
    assert "--from: has no effect: adamedgraph begins at random only. Leave it out; these" in capsys.readouterr().err


def test_questions_that_cannot_be_asked_are_refused_in_one_line(films, fitted, tmp_path):
    rows = films.frame.rename(columns={"label:ill": "table:ill"}).to_dict("records")
    bare = sw.Cohort.create(tmp_path / "bare", rows, root=films.root, name="c", source="films.csv", layout="table")
    command = f'scanweave cohort import films.csv --out {bare.folder}-labelled --columns "ill=label category"'
    for labels, words in (([], "has no label. Its variables are ill."), (["ill"], "'ill' is a variable, no label.")):
        with pytest.raises(sw.ScanweaveError, match=words) as error:
            ask(bare, bare, configure("classify", None, {"labels": labels}))
        assert str(error.value).endswith(f"{command}.")
    with pytest.raises(sw.ScanweaveError, match="labels: 'il' is not in the cohort"):
        sw.fit("classify", films, tmp_path / "a", config={**SMALL, "labels": ["il"]}, say=quiet)
    with pytest.raises(sw.ScanweaveError, match=r"network.size: has 3 axes for studies of 2"):
        sw.fit("classify", films, tmp_path / "b", config={**SMALL, "network.size": [9, 9, 9]}, say=quiet)
    idle = {
        "uncertain": "positive",
        "sampling.drop_scans": 0.5,
        "preparation.suv_high": 9,
        "preparation.percentile": 98,
        "network.scans_as": "views",
        "network.most_voxels": 999,
    }
    for setting in ({name: value} for name, value in idle.items()):
        with pytest.raises(sw.ScanweaveError, match=f"{next(iter(setting))}: has no effect: "):
            sw.fit("classify", films, tmp_path / "c", config=[SMALL, setting], say=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]
    volumes, most = make_cohort(tmp_path / "volumes", shape=(20, 20, 12)), {"network.most_pixels": 999}
    with pytest.raises(sw.ScanweaveError, match=r"most_pixels: has no effect: the training studies are volumes"):
        sw.fit("classify", volumes, tmp_path / "d", config=[SMALL, most], say=quiet)
    with pytest.raises(sw.ScanweaveError, match="of: the run does not tell '2'"):
        fitted.explain(films, tmp_path / "e", options={"of": "2"}, say=quiet)
    volume = sw.Scan.of(np.random.default_rng(0).normal(size=(9, 9, 9)), np.eye(4))
    with pytest.raises(sw.ScanweaveError, match="a volume of 9×9×9 voxels for a run on films"):
        fitted.predict(sw.Study("x", "x", {"film": volume}))


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(fitted, films, tmp_path):
    run = shutil.copytree(fitted.run.folder, tmp_path / "sound")
    system = api.open_run(run, "cpu")
    system.evaluate(films, part="all", say=quiet)
    system.explain(films, part="all", options={"maps": 1}, say=quiet)
    tried, faults = faults_at_report(run, tmp_path, seeds=3)
    assert tried >= 30
    assert not faults, "\n".join(faults)
