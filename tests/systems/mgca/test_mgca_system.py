"""MGCA from films and reports to findings, retrieval, maps, search and a page; and what is wrong with its input."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from told_films import SMALL, make_cohort

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.exporting import export
from scanweave.studies.formats.image_reader import read_scan


def quiet(line):
    """Say nothing."""


def test_findings_are_told_without_labels(paired, told, lines):
    assert any(line.startswith("findings: nodule, effusion, told by sentences") for line in lines)
    summary = paired.evaluate(told, part="test", options={"pointing": True}, say=quiet)
    rows = summary.set_index(["outcome", "measure"])
    assert rows.loc[("mean of the findings", "AUROC"), "value"] > 0.9
    found = rows.loc[("image → report, exact pair", "R@10")]
    assert found["value"] > found["control"]
    hits = rows.loc[("nodule", "pointing game of the map")]
    assert hits["control"] == 0  # the middle of the film lies in no box
    assert set(rows.loc["prototypes of film and report"].index) == {
        "same prototype",
        "shared information with the findings (NMI)",
    }


def test_the_way_by_the_command_line(paired, told, tmp_path, capsys):
    run, folder = str(paired.run.folder), str(told.folder)
    assert main(["predict", run, "--cohort", folder, "--out", str(tmp_path / "p"), "--part", "test"]) == 0
    made = sw.Cohort.open(tmp_path / "p")
    study = made[made.studies[0]]
    assert set(study.labels) == {"nodule", "effusion"}
    assert 0 <= study.table["probability_nodule"] <= 1
    assert main(["evaluate", run, "--cohort", folder]) == 0
    assert "retrieval among 12 pairs" in capsys.readouterr().out
    assert main(["explain", run, "--cohort", folder, "--maps", "2", "--words", "3"]) == 0
    assert main(["search", run, "An effusion is seen.", "--cohort", folder, "--out", str(tmp_path / "s")]) == 0
    page = paired.report().read_text()
    for words in (
        "How well images and reports find each other",
        "Where words are looked for",
        "words of its own report",
    ):
        assert words in page
    assert "Not made yet" not in page


def test_words_find_the_films_that_show_them(paired, told, tmp_path):
    table = sw.search(paired, told, tmp_path / "found", words="There is an effusion.", most=10, say=quiet)
    truth = told.frame.set_index("study")["label:effusion"]
    assert truth.loc[table["study"]].mean() >= 0.9
    assert table["likeness"].is_monotonic_decreasing
    assert (tmp_path / "found" / "search.html").read_text().count("<figure") == 1
    like = sw.search(paired, told, tmp_path / "like", like="s00", most=5, say=quiet)
    assert "s00" not in set(like["study"])
    assert len(like) == 5


def test_an_index_goes_on_and_follows_its_files(paired, tmp_path, monkeypatch):
    from scanweave.framework.reported import image_index

    monkeypatch.setattr(image_index, "STUDIES_A_FILE", 10)
    cohort = make_cohort(tmp_path, patients=24)
    run = api.open_run(shutil.copytree(paired.run.folder, tmp_path / "run"), "cpu")
    shutil.rmtree(run.run.folder / "index", ignore_errors=True)
    looked, said, real = [], [], run.image

    def look(study):
        looked.append(study.id)
        if study.id == "s05" and not said:
            raise sw.ScanweaveError(study.id, "is on a disk that sleeps", "Wake it")
        return real(study)

    monkeypatch.setattr(run, "image", look)
    assert len(image_index.index_images(run, cohort, said.append).studies) == 23
    assert said == ["left out: s05: is on a disk that sleeps. Wake it."]
    looked.clear()
    whole = image_index.index_images(run, cohort, said.append)
    assert (looked, whole.studies) == (["s05"], cohort.studies)
    shutil.copy(tmp_path / "films" / "s01.png", tmp_path / "films" / "s00.png")
    looked.clear()
    part = image_index.index_images(run, cohort.select(["s00", "s01"]), said.append)
    assert looked == ["s00"]
    np.testing.assert_allclose(part.vectors[0], part.vectors[1], atol=1e-6)
    [folder] = (run.run.folder / "index").iterdir()
    file = min(folder.iterdir())
    good = file.read_bytes()
    for bad in (b"no", b"", good[:-30]):
        file.write_bytes(bad)
        with pytest.raises(sw.ScanweaveError, match="damaged"):
            image_index.index_images(run, cohort, quiet)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "takes words, or a study"),
        ({"words": "nodule", "like": "s00"}, "takes words, or a study"),
        ({"words": "xylophone quartz"}, "the run knows none of these words"),
        ({"like": "s0"}, "there is no study 's0'"),
        ({"words": "nodule", "most": 0}, "0 studies"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(paired, told, tmp_path, asked, words):
    with pytest.raises(sw.ScanweaveError, match=words):
        sw.search(paired, told, tmp_path / "s", say=quiet, **asked)
    assert not (tmp_path / "s").exists()


def test_maps_lie_on_the_native_grid(paired, told, tmp_path):
    paired.explain(told, tmp_path, part="all", options={"text": "nodule", "maps": 1, "words": 2}, say=quiet)
    rows = json.loads((tmp_path / "explanation.json").read_text())["rows"]
    assert [row["of"] for row in rows] == ["nodule", "words of its own report"]
    name = rows[0]["study"]
    found = read_scan(tmp_path / name / f"{name}_words.nii.gz")
    assert found.geometry.shape[:2] == (32, 32)
    assert float(np.asarray(found.data).min()) >= 0
    with pytest.raises(sw.ScanweaveError, match="the run does not tell 'fracture'"):
        paired.explain(told, tmp_path / "x", options={"of": "fracture"}, say=quiet)


def test_other_sentences_and_keys_are_taken_from_the_user(paired, told, tmp_path):
    path = tmp_path / "prompts.toml"
    path.write_text('[nodule]\npresent = ["Nodule."]\nabsent = ["No nodule."]\n')
    with pytest.raises(sw.ScanweaveError, match=r"\[effusion\] is not there"):
        paired.evaluate(told, tmp_path / "a", options={"prompts": path}, say=quiet)
    path.write_text(path.read_text() + '[effusion]\npresent = ["Effusion."]\nabsent = ["No effusion."]\n')
    options = {"prompts": path, "keys": ("nodule", "effusion")}
    paired.evaluate(told, tmp_path / "b", options=options, say=quiet)
    table = pd.read_csv(tmp_path / "b" / "retrieval.csv")
    same = table[(table["right"] == "same key") & (table["measure"] == "R@1")]
    assert (same["chance"] > 0.2).all()  # a quarter of the reports means the same
    with pytest.raises(sw.ScanweaveError, match="keys: there is no label 'x'"):
        paired.evaluate(told, tmp_path / "c", options={"keys": ("x",)}, say=quiet)


def test_without_labels_there_is_retrieval_alone(tmp_path):
    cohort = make_cohort(tmp_path, patients=24, labels=False)
    few = {**SMALL, "training": {**SMALL["training"], "steps": 2, "validate_every": 1, "batch_size": 8}}
    run = sw.fit("mgca", cohort, tmp_path / "run", config=few, say=quiet)
    assert run.plan.targets == ("embedding",)
    summary = run.evaluate(cohort, part="all", say=quiet)
    assert "AUROC" not in set(summary["measure"])
    made = run.predict(cohort["s00"])
    assert list(made.embeddings) == ["mgca"]
    assert np.linalg.norm(made.embeddings["mgca"]) == pytest.approx(1, abs=1e-5)
    assert "How well images and reports find each other" in run.report().read_text()
    with pytest.raises(sw.ScanweaveError, match="nothing is named to look for"):
        run.explain(cohort, tmp_path / "e", part="all", say=quiet)


def test_the_encoder_begins_a_classifier(paired, told, tmp_path):
    said = []
    config = {"start": {"source": str(paired.run.folder)}, "labels": ["nodule", "effusion"]}
    config |= {
        "training": {"steps": 2, "validate_every": 1, "workers": 0, "batch_size": 4},
        "network": {"size": [32, 32]},
    }
    sw.fit("classify", told, tmp_path / "run", config=config, say=said.append)
    assert any("start weights: 100.0 % of encoder" in line for line in said)


def test_several_films_of_any_size_and_a_report_on_file(tmp_path):
    cohort = make_cohort(tmp_path, patients=24)
    rows = cohort.frame.to_dict("records")
    for number, row in enumerate(rows):
        path = tmp_path / "films" / f"{row['study']} side.png"
        Image.open(tmp_path / row["scan:film"]).resize((20, 40)).save(path)
        row |= {"scan:side": None if number % 3 == 0 else f"films/{path.name}", "split": "train", "boxes": None}
        row["scan:film"] = None if number % 3 == 1 else row["scan:film"]
        (tmp_path / "films" / f"{row['study']}.txt").write_text(f"FINDINGS: {row.pop('text:findings')}")
        row["report"] = f"films/{row['study']}.txt"
    both = sw.Cohort.create(tmp_path / "two films", rows, root=tmp_path, name="two", source="test", layout="test")
    few = {**SMALL, "training": {**SMALL["training"], "steps": 2, "validate_every": 1, "batch_size": 30}}
    run = sw.fit("mgca", both, tmp_path / "a run", config=few, say=quiet)  # nobody validates; a batch has doubles
    summary = run.evaluate(both, part="all", options={"keys": ("nodule",)}, say=quiet)
    assert np.isfinite(summary["value"]).all()
    volumes = run.prepared(both["s02"]).volumes
    mean = sum(run.reader.image({name: volume}) for name, volume in volumes.items())
    np.testing.assert_allclose(run.image(both["s02"]), mean / np.linalg.norm(mean), atol=1e-5)
    several = run.reader.images(run.prepared(both[name]).volumes for name in ("s00", "s01", "s02"))
    np.testing.assert_allclose(several[2], run.image(both["s02"]), atol=1e-5)
    with pytest.raises(sw.ScanweaveError, match="pointing: has no effect: the studies have no boxes"):
        run.evaluate(both, tmp_path / "e", part="all", options={"pointing": True}, say=quiet)


def test_bad_input_is_told_or_refused(tmp_path):
    cohort = make_cohort(tmp_path, patients=36)
    rows = cohort.frame.to_dict("records")
    rows[0]["text:findings"] = None
    rows[1]["text:findings"] = "None."
    rows[2]["text:findings"] = "nodule " * 10_000
    rows[3]["scan:film"] = None
    mended = sw.Cohort.create(tmp_path / "d", rows, root=tmp_path, name="bad", source="test", layout="test")
    few = {**SMALL, "training": {**SMALL["training"], "steps": 1, "validate_every": 1, "batch_size": 4}}
    said = []
    run = sw.fit("mgca", mended, tmp_path / "run", config=few, say=said.append)
    assert "left out: 1 study without any of the images" in said
    assert any(line.startswith("left out: 1 study (s00): has no report") for line in said)
    assert any(line.startswith("left out: 1 study (s01): its report says nothing") for line in said)
    assert any("1 report cut off after 24 of them" in line for line in said)
    assert run.predict(mended["s00"]).labels  # a film needs no report
    with pytest.raises(sw.ScanweaveError, match="holds no scan of this run"):
        run.predict(mended["s03"])
    bare = make_cohort(tmp_path / "bare", patients=12, reports=False)
    with pytest.raises(sw.ScanweaveError, match="has no reports"):
        sw.fit("mgca", bare, tmp_path / "other", config=few, say=quiet)
    with pytest.raises(sw.ScanweaveError, match="batch_size"):
        sw.fit("mgca", mended, tmp_path / "one", config={**few, "training": {"batch_size": 1}}, say=quiet)


def test_a_report_is_drafted_and_measured(told, tmp_path):
    few = {**SMALL, "objective": {**SMALL["objective"], "draft": 1.0}, "sampling": {"some_sentences": 0.0}}
    run = sw.fit("mgca", told, tmp_path / "run", config=few, say=quiet)
    made = run.predict(told["s01"], ["report", "nodule"])
    assert made.report.text
    assert made.report.text[0].isupper()
    assert set(made.labels) == {"nodule"}
    assert run.predict(told["s01"]).report is None  # made only when it is asked for
    made.save(tmp_path / "made")
    options = {"drafts": True, "neighbours": told.folder}
    summary = run.evaluate(told, part="test", options=options, say=quiet).set_index(["outcome", "measure"])
    found = summary.loc[("drafted reports: effusion", "F1 of the findings that they name")]
    assert 0.5 < found["value"] <= 1
    assert 0 <= found["control"] <= 1
    assert 0 < summary.loc[("drafted reports", "BLEU-4"), "value"] <= 1
    assert "the report of the most similar training study" in run.report().read_text()


def test_a_run_that_does_not_write_is_asked_for_no_report(paired, told, tmp_path):
    with pytest.raises(sw.ScanweaveError, match="the run does not know 'report'"):
        paired.predict(told["s01"], ["report"])
    with pytest.raises(sw.ScanweaveError, match="drafts: this run did not learn to write reports"):
        paired.evaluate(told, tmp_path / "e", options={"drafts": True}, say=quiet)


def test_its_network_computes_the_same_from_a_file(paired, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(paired.run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
