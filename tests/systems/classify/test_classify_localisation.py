"""Grad-CAMs of films as boxes, measured against true ones."""

import json
import shutil
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from changed_json import changed_text
from changed_results import limited
from square_films import SMALL, make_cohort, views

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.framework.localisation.detections import FILE, load_detections
from scanweave.measures.froc import mark_lesions
from scanweave.measures.jafroc import figure_of_merit
from scanweave.measures.map_boxes import map_boxes
from scanweave.measures.pointing import pointing_hit
from scanweave.report.pictures import Picture
from scanweave.studies.box_overlap import boxes_to_mask
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.formats.json_boxes import read_box_json, write_box_json
from scanweave.systems.classify.config import ExplainOptions
from scanweave.systems.classify.explanation import input_maps, native_map
from scanweave.systems.classify.localisation import located

QUICK = {"localise": True, "repeats": 100}


def quiet(line):
    """Say nothing."""


def boxed(films, folder, label="ill"):
    """The same films with a loose box around the square of each; of the first one nobody said anything."""
    rows = films.frame.to_dict("records")
    for number, row in enumerate(rows[1:], 1):
        corners = [[[0, 0], [9, 9]]] if number % 2 else np.zeros((0, 2, 2))
        path = folder / "boxes" / f"{row['study']}.json"
        write_box_json(path, Boxes(np.array(corners, float), (label,) * len(corners), size=(20, 20)))
        row["boxes"] = str(path)
    rows[0]["boxes"] = None
    return sw.Cohort.create(folder / "c", rows, root=films.root, name="boxed", source="test", layout="test")


@pytest.fixture(scope="module")
def cohort(films, tmp_path_factory):
    return boxed(films, tmp_path_factory.mktemp("boxed"))


@pytest.fixture(scope="module")
def run(fitted, cohort, tmp_path_factory):
    """A copy of the run, evaluated with boxes by the command line and explained."""
    folder = shutil.copytree(
        fitted.run.folder, tmp_path_factory.mktemp("runs") / "run", ignore=lambda *_: ["evaluation"]
    )
    given = ["evaluate", str(folder), "--cohort", str(cohort.folder), "--part", "all"]
    assert main([*given, "--localise", "--repeats", "100", "--out", str(folder / "evaluation")]) == 0
    opened = api.open_run(folder, "cpu")
    opened.explain(cohort, folder / "explanation", part="all", options={"maps": 2}, say=quiet)
    return opened


def test_boxes_of_maps_are_measured_beside_the_answers(run):
    made = load_detections(run.run.folder / "evaluation")
    assert made.classes == ("ill",)  # the label; the run tells 0 and 1
    assert made.studies == [f"s{number:02d}" for number in range(1, 24)]  # nobody annotated s00
    assert [len(truth) for truth in made.truths[:4]] == [1, 0, 1, 0]
    record = json.loads((run.run.folder / "evaluation" / "summary.json").read_text())
    rows = {(row["outcome"], row["measure"]): row for row in record["rows"]}
    assert rows["ill", "AUROC"]["studies"] == 24
    assert rows["ill", "JAFROC"]["studies"] == 23
    assert rows["ill", "AP50"]["patients"] == 23
    pointing = rows["ill", "pointing game of the map"]
    assert (pointing["studies"], pointing["control"]) == (12, 0)  # the middle, (10, 10), lies in no square
    assert pointing["value"] > 0.9
    assert rows["ill", "JAFROC"]["value"] == figure_of_merit(mark_lesions(made.truths, made.found, "ill"))


def test_boxes_are_those_of_the_map_by_the_rule(run, cohort):
    folder = run.run.folder / "explanation"
    for row in json.loads((folder / "explanation.json").read_text())["rows"]:
        name = row["study"]
        heat = np.asarray(read_scan(folder / name / f"{name}_gradcam.nii.gz").data)
        expected = map_boxes(heat, row["of"], row["probability"])
        found = read_box_json(folder / name / f"{name}_gradcam_boxes.json").boxes[f"{name}_gradcam_boxes"]
        np.testing.assert_allclose(found.corners, expected.corners)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        assert found.size == (20, 20)


def test_page_shows_boxes_in_a_section_of_their_own(run, tmp_path):
    page = run.report(tmp_path / "page.html").read_text()
    assert "How well findings are located" in page
    good = page[page.index("How good it is</h2>") : page.index("How well findings are located</h2>")]
    located = page[page.index("How well findings are located</h2>") : page.index("Where it looked</h2>")]
    assert ("JAFROC" in good, "JAFROC" in located) == (False, True)
    assert located.count("<figure") >= 4


def test_two_runs_are_compared_and_earlier_boxes_do_not_stay(run, cohort, tmp_path):
    other = api.open_run(shutil.copytree(run.run.folder, tmp_path / "other"), "cpu")
    lines: list[str] = []
    other.evaluate(cohort, options=QUICK, say=lines.append)  # the studies that the fit did not see
    one = api.open_run(shutil.copytree(run.run.folder, tmp_path / "one"), "cpu")
    asked = {**QUICK, "against": other.run.folder}
    one.evaluate(cohort, tmp_path / "e", options=asked, say=lines.append)
    [row] = pd.read_csv(tmp_path / "e" / "localisation_comparison.csv").to_dict("records")
    assert (row["class"], row["AP50 difference"], row["AP50 p"], row["JAFROC p"]) == ("ill", 0, 1, 1)
    one.evaluate(cohort, tmp_path / "e", say=quiet)
    left = {path.name for path in (tmp_path / "e").rglob("*")}
    assert not left & {"detections.json", "froc.csv", "jafroc.csv", "localisation_comparison.csv", "s13.png"}
    other.evaluate(cohort, say=quiet)
    with pytest.raises(sw.ScanweaveError, match=r"without boxes\. Evaluate it again"):
        one.evaluate(cohort, tmp_path / "f", options=asked, say=quiet)


def test_findings_are_located_by_their_own_name(tmp_path):
    cohort = make_cohort(tmp_path, labels=lambda number: {"label:square": number % 2, "label:other": number % 3 // 2})
    config = {**SMALL, "labels": ["square", "other"], "training": {**SMALL["training"], "steps": 2}}
    run = sw.fit("classify", boxed(cohort, tmp_path / "b", "square"), tmp_path / "run", config=config, say=quiet)
    summary = run.evaluate(sw.Cohort.open(tmp_path / "b" / "c"), part="all", options=QUICK, say=quiet)
    located = summary[summary["measure"].isin(["AP50", "JAFROC"])]
    assert set(located["outcome"]) == {"square", "mean of the classes"}
    assert set(summary[summary["measure"] == "AUROC"]["outcome"]) == {"mean of the findings", "square", "other"}


def test_of_two_views_the_map_is_that_of_the_film_with_the_boxes(tmp_path):
    cohort = views(tmp_path)
    config = {**SMALL, "training": {**SMALL["training"], "steps": 2}}
    run = sw.fit("classify", cohort, tmp_path / "run", config=config, say=quiet)
    study = cohort["s01"]
    for scan in ("frontal", "lateral"):
        size = study[scan].geometry.shape[:2]
        truth = Boxes(np.array([[[3.0, 3.0], [9.0, 9.0]]]), ("ill",), size=size)
        plain = located(run, replace(study, boxes=truth), {"ill": 1})
        prepared = run.prepared(study)
        heat = native_map(run, prepared, scan, input_maps(run, prepared, 1, ExplainOptions())[scan])
        expected = map_boxes(heat.data, "ill", float(run.probabilities(study)[1]))
        assert plain["size"] == list(size)
        assert [box["start"] for box in plain["found"]] == expected.corners[:, 0].tolist()
        assert plain["hits"] == {"ill": pointing_hit(heat.data[..., 0], boxes_to_mask(truth, {"ill": 1}))}
    assert located(run, replace(study, boxes=None), {"ill": 1}) is None
    with pytest.raises(sw.ScanweaveError, match="s01: 0 films of the size of its boxes"):
        located(run, replace(study, boxes=Boxes(truth.corners, ("ill",), size=(7, 7))), {"ill": 1})


def test_what_has_no_boxes_is_refused_in_one_line(run, films, tmp_path):
    with pytest.raises(sw.ScanweaveError, match="has no boxes in the studies that are tried"):
        run.evaluate(films, tmp_path / "a", part="all", options=QUICK, say=quiet)
    strange = boxed(films, tmp_path, "fracture")
    with pytest.raises(sw.ScanweaveError, match="the boxes are of fracture, and the run tells 0, 1"):
        run.evaluate(strange, tmp_path / "b", part="all", options=QUICK, say=quiet)
    volumes = make_cohort(tmp_path / "v", patients=18, shape=(16, 16, 16))
    config = {**SMALL, "training": {**SMALL["training"], "steps": 1, "validate_every": 1, "batch_size": 2}}
    solid = sw.fit("classify", volumes, tmp_path / "run", config=config, say=quiet)
    with pytest.raises(sw.ScanweaveError, match="localise: takes films, and this run is of volumes"):
        solid.evaluate(volumes, part="all", options=QUICK, say=quiet)


def test_a_page_with_boxes_that_chance_changed_is_written_or_refused(run, tmp_path):
    own = shutil.copytree(run.run.folder, tmp_path / "run")
    path = own / "evaluation" / FILE
    good, told = path.read_text(), []
    for seed in range(12):
        path.write_text(changed_text(good, np.random.default_rng([22, seed])))
        with limited(), mock.patch("scanweave.report.page.picture", return_value=Picture("image/png", b"", 1, 1)):
            try:
                api.open_run(own, "cpu", "report").report(tmp_path / "page.html")
            except sw.ScanweaveError as error:
                told.append(str(error))
    assert len(told) > 2
    assert all(line.endswith(".") and "\n" not in line for line in told)
