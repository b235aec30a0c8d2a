"""Detect as a user meets it: it finds what can be seen, in pixels of the film, and says what it cannot do."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from boxed_films import SIZE, TINY, make_cohort

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.framework.run_outputs import newest_output
from scanweave.measures.detection import pair_iou
from scanweave.studies.scan import Scan

FEW = {**TINY, "training": {**TINY["training"], "steps": 2, "validate_every": 2, "warm_up": 0}}


def fit(cohort, run, say=lambda line: None, **more):
    return sw.fit("detect", cohort, run, preset="small", config=[FEW, more], say=say)


def test_findings_are_found_where_they_are(boxed, fitted, tmp_path):
    """Squares and bars are seen by eye: AP50 above 0.7, AUROC above 0.9, and the best box on the finding."""
    table = fitted.evaluate(boxed, tmp_path / "out", say=lambda line: None)
    of = table.set_index(["outcome", "measure"])["value"]
    assert of["mean of the classes", "AP50"] > 0.7
    assert of["square", "AUROC"] > 0.9
    part = boxed.part("test")
    with_square = next(name for name in part.studies if "square" in part[name].boxes.labels)
    study = part[with_square]
    found = fitted.predict(study).boxes
    best = next(place for place, label in enumerate(found.labels) if label == "square")
    truth = study.boxes.select([label == "square" for label in study.boxes.labels])
    assert found.size == SIZE
    assert pair_iou(found.corners[[best]], truth.corners)[0, 0] > 0.5


def test_a_folder_of_films_alone_is_predicted(boxed, fitted, tmp_path):
    """Names that say nothing, no boxes, and another name of the film than the run's."""
    (tmp_path / "new").mkdir()
    for number, name in enumerate(boxed.part("test").studies[:2]):
        film = boxed.root / boxed.frame.set_index("study")["scan:film"][name]
        shutil.copy(film, tmp_path / "new" / f"IMG_{number}.png")
    lines = []
    done = api.predict_folder(fitted.run.folder, tmp_path / "new", tmp_path / "out", note=lines.append)
    assert done.made["boxes"] == 2
    assert "image: taken as film, the only scan of the run" in lines
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert set(table["study"]) == {"IMG_0", "IMG_1"}


def test_a_prediction_holds_boxes_findings_and_their_scores(boxed, fitted):
    study = boxed[boxed.part("test").studies[0]]
    made = fitted.predict(study)
    for score, label in zip(made.boxes.scores, made.boxes.labels, strict=True):
        assert score >= fitted.box_points[label].threshold
    assert made.boxes.unit == "pixel"
    assert made.boxes.scores is not None
    assert set(made.labels) == {"bar", "square"} == set(fitted.plan.outputs)
    shares = fitted.probabilities(study)
    assert [made.table[f"probability_{name}"] for name in fitted.plan.outputs] == pytest.approx(shares, abs=1e-6)
    highest = [
        max([s for s, own in zip(made.boxes.scores, made.boxes.labels, strict=True) if own == name], default=None)
        for name in fitted.plan.outputs
    ]
    for share, score in zip(shares, highest, strict=True):
        assert score is None or share == pytest.approx(score, abs=1e-6)
    assert fitted.predict(study, ["boxes"]).labels == {}
    assert fitted.predict(study, ["square"]).boxes is None
    assert fitted.predict(study, ["embedding"]).embeddings["detect"].ndim == 1


def test_a_film_of_another_size_gives_boxes_in_its_own_pixels(boxed, fitted):
    study = next(boxed[name] for name in boxed.part("test").studies if len(boxed[name].boxes))
    film = study.scans["film"]
    twice = np.repeat(np.repeat(np.asarray(film.data), 2, axis=0), 2, axis=1)
    larger = study.with_scans({"film": Scan.of(twice, film.geometry.affine, space=film.geometry.space)})
    small, large = fitted.predict(study, ["boxes"]).boxes, fitted.predict(larger, ["boxes"]).boxes
    assert large.size == (2 * SIZE[0], 2 * SIZE[1])
    alike = large.select([label == small.labels[0] for label in large.labels])
    assert pair_iou(small.corners[:1], alike.corners / 2).max() > 0.7


def test_films_with_labels_alone_teach_too(tmp_path):
    lines = []
    cohort = make_cohort(tmp_path / "c", annotated=0.5)
    fitted = fit(cohort, tmp_path / "run", lines.append)
    drawn = sum(cohort[name].boxes is not None for name in cohort.part("train").studies)
    told = next(line for line in lines if line.startswith("films:"))
    assert f"{len(cohort.part('train').studies) - drawn} films by labels" in told or "by labels" in told
    parts = {row["split"]: row for row in fitted.run.metrics() if row["split"] == "train"}
    assert parts["train"]["label"] > 0


def test_boxes_without_labels_are_enough(tmp_path):
    cohort = make_cohort(tmp_path / "c", labels=False)
    assert fit(cohort, tmp_path / "run").plan.outputs == ("bar", "square")


def test_classes_without_a_label_are_not_learnt_unasked(tmp_path):
    cohort = make_cohort(tmp_path / "c")
    frame = cohort.frame.drop(columns="label:bar")
    bare = type(cohort).create(
        tmp_path / "d", frame.to_dict("records"), root=str(cohort.root), name="d", source="", layout=""
    )
    lines = []
    assert fit(bare, tmp_path / "run", lines.append).plan.outputs == ("square",)
    assert any("not learnt: bar" in line for line in lines)
    assert fit(bare, tmp_path / "both", classes=["bar", "square"]).plan.outputs == ("bar", "square")


def test_photographs_stay_in_colour(tmp_path):
    cohort = make_cohort(tmp_path / "c", colour=True)
    fitted = fit(cohort, tmp_path / "run")
    assert fitted.plan.channels == 3
    study = cohort[cohort.studies[0]]
    grey = study.with_scans({"film": study.scans["film"].grey()})
    assert fitted.predict(grey, ["boxes"]).boxes.size == SIZE


def test_a_photograph_is_refused_by_a_run_on_grey_films(fitted, tmp_path):
    study = next(iter(make_cohort(tmp_path / "c", films=12, colour=True)))
    with pytest.raises(ScanweaveError, match="red, green, blue"):
        fitted.predict(study)


def test_films_without_any_box_are_measured_by_their_labels(boxed, fitted, tmp_path):
    frame = boxed.frame.assign(boxes=None)
    bare = type(boxed).create(
        tmp_path / "c", frame.to_dict("records"), root=str(boxed.root), name="c", source="", layout=""
    )
    lines = []
    table = fitted.evaluate(bare, tmp_path / "out", part="test", say=lines.append)
    assert set(table["measure"]) & {"AP50", "JAFROC"} == set()
    assert any("boxes are not measured" in line for line in lines)
    assert not (tmp_path / "out" / "detections.json").exists()


def test_two_runs_are_compared(boxed, fitted, tmp_path):
    other = fit(boxed, tmp_path / "other")
    other.evaluate(boxed, say=lambda line: None)
    fitted.evaluate(boxed, tmp_path / "out", options={"against": tmp_path / "other"}, say=lambda line: None)
    table = pd.read_csv(tmp_path / "out" / "localisation_comparison.csv")
    assert (table["first AP50"] > table["second AP50"]).all()


def test_a_detector_stands_beside_a_classifier(boxed, fitted, tmp_path):
    """In the findings that both tell, by name, in any order; one of 0 and 1 by its label; and the other way round."""
    labels = {"labels": ["square", "bar"], "network": {"encoder": "resnet10", "width": 0.125}}
    steps = {"steps": 4, "warm_up": 0, "batch_size": 8, "validate_every": 4, "workers": 0, "ema_decay": None}
    for name, asked in (("both", labels), ("one", labels | {"labels": ["square"]})):
        other = sw.fit("classify", boxed, tmp_path / name, config=asked | {"training": steps}, say=lambda line: None)
        other.evaluate(boxed, options={"localise": True, "repeats": 100}, say=lambda line: None)
        out = tmp_path / f"beside {name}"
        fitted.evaluate(boxed, out, options={"against": tmp_path / name, "repeats": 100}, say=lambda line: None)
        found = pd.read_csv(out / "comparison.csv").set_index("outcome")
        assert sorted(found.index) == sorted(asked["labels"])
        assert found.loc["square", "first AUROC"] > found.loc["square", "second AUROC"]
        assert (out / "localisation_comparison.csv").exists()
    fitted.evaluate(boxed, options={"repeats": 100}, say=lambda line: None)
    other.evaluate(boxed, tmp_path / "back", options={"against": fitted.run.folder}, say=lambda line: None)
    assert pd.read_csv(tmp_path / "back" / "comparison.csv")["outcome"].tolist() == ["square"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["disc"]}, "no training film has a box of 'disc'"),
        ({"scan": "frontal"}, "'frontal' is not in the cohort"),
        ({"network": {"encoder": "segresnet"}}, "strides"),
        ({"network": {"encoder": "resnet99"}}, "none of this name"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, change, words):
    with pytest.raises(ScanweaveError, match=words):
        sw.fit(
            "detect", make_cohort(tmp_path / "c", films=12), tmp_path / "run", preset="small", config={**FEW, **change}
        )
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_cohort_without_boxes_is_refused(boxed, tmp_path):
    frame = boxed.frame.drop(columns="boxes")
    bare = type(boxed).create(
        tmp_path / "c", frame.to_dict("records"), root=str(boxed.root), name="c", source="", layout=""
    )
    with pytest.raises(ScanweaveError, match="has no boxes"):
        fit(bare, tmp_path / "run")


def test_the_page_tells_what_was_found(boxed, fitted, tmp_path):
    fitted.evaluate(boxed, say=lambda line: None)
    page = fitted.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "How well findings are located" in page
    assert "JAFROC" in page
    assert read_json(fitted.run.folder / "evaluation" / "detections.json", "")["classes"] == ["bar", "square"]


def test_the_page_shows_cohorts_side_by_side(boxed, fitted, tmp_path):
    other = make_cohort(tmp_path / "c", films=24, seed=5)
    fitted.evaluate(boxed, options={"repeats": 100}, say=lambda line: None)
    assert "Inside and outside" not in fitted.report(tmp_path / "one.html").read_text(encoding="utf-8")
    fitted.evaluate(other, part="all", options={"repeats": 100}, say=lambda line: None)
    page = fitted.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Inside and outside" in page
    assert "films, test part" in page


def test_the_command_measures_cohorts_from_elsewhere_too(boxed, fitted, tmp_path, capsys):
    """Each into a folder of its own, however often; the cohort itself, and a folder for both, are refused."""
    other = make_cohort(tmp_path / "elsewhere", films=24, seed=6)
    words = ["evaluate", str(fitted.run.folder), "--cohort", str(boxed.folder), "--repeats", "100", "--external"]
    assert main([*words, str(other.folder)]) == 0
    told = capsys.readouterr().out
    assert "external: films" in told
    own, folder = (Path(re.findall(pattern, told)[-1]) for pattern in (r"wrote (\S+) · next", r"wrote (\S+)\n"))
    assert (own.name, folder.name.startswith("evaluation-other")) == ("evaluation", True)
    assert newest_output(Run.open(fitted.run.folder), "evaluation") == own  # the page goes on showing the run's own
    tried = set(pd.read_csv(folder / "predictions.csv")["study"])
    assert tried
    assert tried <= set(other.studies)  # without those whose patients the run has seen
    assert main([*words, str(boxed.folder)]) == 2
    assert "is the cohort itself" in capsys.readouterr().err
    assert main([*words, str(other.folder), "--out", str(tmp_path / "out")]) == 2
    assert "--out names one folder" in capsys.readouterr().err


def test_an_end_to_end_detector_of_transformers(tmp_path):
    """One step with boxes and labels mixed, then a prediction: 31 million random weights find something or nothing."""
    pytest.importorskip("transformers")
    cohort = make_cohort(tmp_path / "c", films=24, annotated=0.6)
    steps = {"steps": 1, "validate_every": 1, "batch_size": 4, "workers": 0, "warm_up": 0, "ema_decay": None}
    fitted = sw.fit(
        "detect", cohort, tmp_path / "run", preset="d-fine", say=lambda line: None,
        config={"training": steps, "network": {"proposals": 20, "size": [128, 128]}},
    )  # fmt: skip
    read = fitted.read(cohort[cohort.studies[0]])
    assert len(read.boxes) <= fitted.config.network.most_boxes
    assert ((read.shares >= 0) & (read.shares <= 1)).all()
    assert read.boxes.faults() == () or all(fault.kind != "outside" for fault in read.boxes.faults())


def test_weights_do_not_depend_on_whoever_drew_before(boxed, tmp_path):
    one = fit(boxed, tmp_path / "one").run.weights.read_bytes()
    torch.rand(7)
    assert fit(boxed, tmp_path / "two").run.weights.read_bytes() == one
