"""MG-3D from volumes and reports to findings, retrieval, filled blocks, maps and a page."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from told_volumes import SMALL, make_volumes

import scanweave as sw
from scanweave.cli.main import main
from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.exporting import export
from scanweave.nets.axis_order import ordered_encoder
from scanweave.studies.formats.image_reader import read_scan


def quiet(line):
    """Say nothing."""


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    return make_volumes(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def guided(volumes, tmp_path_factory):
    return sw.fit("mg3d", volumes, tmp_path_factory.mktemp("runs") / "run", config=SMALL, say=quiet)


def test_findings_are_told_without_labels_and_masks_are_pointed_at(guided, volumes):
    summary = guided.evaluate(volumes, part="test", options={"pointing": True}, say=quiet)
    rows = summary.set_index(["outcome", "measure"])
    assert rows.loc[("mean of the findings", "AUROC"), "value"] > 0.8
    found = rows.loc[("image → report, exact pair", "R@10")]
    assert found["value"] > found["control"]
    hits = rows.loc[("effusion", "pointing game of the map")]
    assert 0 <= hits["value"] <= 1
    assert hits["control"] == 0  # the middle of the volume lies in no mask


def test_a_report_helps_to_fill_in_hidden_blocks(guided, volumes):
    summary = guided.evaluate(volumes, part="test", options={"filling": True, "pictures": 1}, say=quiet)
    less = summary.set_index("measure").loc["error less that with another patient's report"]
    assert less["value"] < 0
    page = guided.report().read_text()
    assert "Hidden blocks, filled in" in page
    assert "another patient" in page


def test_the_way_by_the_command_line(guided, volumes, tmp_path):
    run, folder = str(guided.run.folder), str(volumes.folder)
    assert main(["predict", run, "--cohort", folder, "--out", str(tmp_path / "p"), "--part", "test"]) == 0
    made = sw.Cohort.open(tmp_path / "p")
    assert set(made[made.studies[0]].labels) == {"nodule", "effusion"}
    assert main(["explain", run, "--cohort", folder, "--maps", "2", "--words", "3"]) == 0
    assert main(["search", run, "An effusion is seen.", "--cohort", folder, "--out", str(tmp_path / "s")]) == 0
    truth = volumes.frame.set_index("study")["label:effusion"]
    assert truth.loc[pd.read_csv(tmp_path / "s" / "search.csv")["study"]].mean() >= 0.9


@pytest.mark.parametrize("made_of", ["places", "words"])
def test_maps_lie_on_the_native_grid(guided, volumes, tmp_path, made_of):
    options = {"text": "effusion", "maps": 1, "words": 2, "maps_of": made_of}
    guided.explain(volumes, tmp_path / made_of, part="all", options=options, say=quiet)
    rows = json.loads((tmp_path / made_of / "explanation.json").read_text())["rows"]
    assert [row["of"] for row in rows] == ["effusion", "words of its own report"]
    found = read_scan(tmp_path / made_of / rows[0]["study"] / f"{rows[0]['study']}_words.nii.gz")
    assert found.geometry.shape == (32, 32, 32)
    assert 0 <= float(np.asarray(found.data).min()) < float(np.asarray(found.data).max())


def test_the_encoder_begins_a_segmentation(guided, volumes, tmp_path):
    said = []
    config = {"start": {"source": str(guided.run.folder)}, "network": {"patch": [32, 32, 32]}}
    config |= {"training": {"steps": 2, "validate_every": 1, "workers": 0}}
    sw.fit("segment", volumes, tmp_path / "run", config=config, say=said.append)
    assert any("start weights: 100.0 % of encoder" in line for line in said)


def test_the_encoder_sees_the_same_volume_in_every_system(guided):
    """Axes stand as X, Y, Z in Segment and as Z, Y, X here: features must be the same, turned."""
    saved = SavedEncoder.load(guided.run.folder / "encoder.json")
    here, there = (
        ordered_encoder(saved.name, 1, 3, saved.options, saved.axes, order).eval() for order in ("ZYX", "XYZ")
    )
    there.load_state_dict(here.state_dict())
    volume = torch.randn(1, 1, 32, 48, 40)
    with torch.no_grad():
        for one, other in zip(here(volume), there(volume.transpose(2, 4)), strict=True):
            torch.testing.assert_close(other.transpose(2, 4), one)


def test_it_begins_from_mim_and_reads_what_there_is(volumes, tmp_path):
    few = {"steps": 2, "batch_size": 4, "warm_up": 0, "validate_every": 1, "workers": 0, "ema_decay": None}
    levels = {"extent": 16, "view": 16, "units": [1], "ratios": [0.5], "children": []}
    network = {
        "widths": [4, 8],
        "depths": [1, 1],
        "heads": 2,
        "decoder_width": 12,
        "decoder_layers": 1,
        "decoder_heads": 2,
    }
    mim = {"levels": levels, "network": network, "loss": {"reconstruction": [1.0], "alignment": []}, "training": few}
    sw.fit("mim", volumes, tmp_path / "mim", config=mim, say=quiet)
    rows = volumes.frame.drop(columns=["label:nodule", "label:effusion", "mask:findings"]).to_dict("records")[:32]
    for number, row in enumerate(rows):
        row["scan:again"] = row["scan:ct"] if number % 2 else None  # several volumes of some studies
    rows[2]["text:findings"], rows[9]["text:findings"] = None, "None."
    bare = sw.Cohort.create(tmp_path / "c", rows, root=volumes.root, name="bare", source="test", layout="test")
    sizes = {name: SMALL["network"][name] for name in ("embedding", "hidden", "fusion_width", "fusion_heads")}
    config = {**SMALL, "network": sizes, "training": few, "start": {"source": str(tmp_path / "mim")}}
    said = []
    run = sw.fit("mg3d", bare, tmp_path / "run", config=config, say=said.append)
    assert any("start weights: 100.0 % of encoder" in line for line in said)
    assert run.plan.targets == ("embedding",)
    summary = run.evaluate(bare, part="all", options={"filling": True, "pictures": 0}, say=quiet)
    assert "error with the own report" in set(summary["measure"])
    run.explain(bare, tmp_path / "e", part="all", options={"text": "effusion", "maps": 3, "words": 2}, say=quiet)


def test_maps_of_words_need_a_run_that_guessed_words(volumes, tmp_path):
    few = {**SMALL, "training": {**SMALL["training"], "steps": 2, "validate_every": 1}}
    run = sw.fit("mg3d", volumes, tmp_path / "run", config={**few, "objective": {"pieces": 0.0}}, say=quiet)
    for options in ({"maps_of": "words"}, {"words": 2}):
        with pytest.raises(sw.ScanweaveError, match="did not learn where words look"):
            run.explain(volumes, tmp_path / "e", options=options, say=quiet)
    with pytest.raises(sw.ScanweaveError, match="did not learn where words look"):
        run.evaluate(volumes, tmp_path / "f", options={"pointing": True, "maps_of": "words"}, say=quiet)


def test_a_run_that_fills_nothing_in_is_refused_the_question(volumes, tmp_path):
    few = {**SMALL, "training": {**SMALL["training"], "steps": 2, "validate_every": 1}}
    run = sw.fit("mg3d", volumes, tmp_path / "run", config={**few, "objective": {"blocks": 0.0}}, say=quiet)
    with pytest.raises(sw.ScanweaveError, match="the run did not learn to fill in blocks"):
        run.evaluate(volumes, tmp_path / "e", options={"filling": True}, say=quiet)


def test_its_network_computes_the_same_from_a_file(guided, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(guided.run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
