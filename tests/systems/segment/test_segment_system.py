"""Segment from a cohort to a report."""

import hashlib
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from changed_results import faults_at_report
from safetensors.numpy import load_file

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.framework.segmentation.task import SegmentationTask
from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.mask_targets import structures_of
from scanweave.studies.splits import make_splits, write_splits

TINY = {
    "mask": "brain",
    "network": {"first_channels": 4, "stages": 3, "patch": [16, 16, 16]},
    "training": {"steps": 6, "validate_every": 3, "log_every": 1, "warm_up": 0, "device": "cpu"},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    cohort = simulate_brain(folder / "c", subjects=6, seed=0, spacing=8.0, sequences=("t1", "flair"))
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    cohort = sw.Cohort.open(cohort.folder)
    lines: list[str] = []
    return cohort, api.fit("segment", cohort, folder / "run", config=TINY, say=lines.append), lines


def test_choices_are_told_with_their_reasons(fitted):
    text = "\n".join(fitted[2])
    assert "patch: 16×16×16 voxels, as asked" in text
    assert "each image's own mean → 0 and deviation → 1" in text


def test_the_way_by_the_command_line(fitted, tmp_path, capsys):
    cohort, system, _ = fitted
    run, folder = str(system.run.folder), str(cohort.folder)
    assert main(["predict", run, "--cohort", folder, "--out", str(tmp_path / "p"), "--part", "test"]) == 0
    assert "wrote 2 masks" in capsys.readouterr().out
    made = sw.Cohort.open(tmp_path / "p")
    study = made[made.studies[0]]
    values = {value for structure in system.target.structures for value in structure.values}
    assert set(np.unique(study.masks["brain"].data)) <= {0, *values}
    assert study.masks["brain"].geometry.shape == cohort[study.id]["t1"].geometry.shape
    assert main(["evaluate", run, "--cohort", folder, "--tolerance", "8", "--lesions"]) == 0
    record = json.loads((system.run.folder / "evaluation" / "summary.json").read_text())
    assert record["about"]["tolerance"] == 8
    assert (system.run.folder / "evaluation" / "lesions.csv").is_file()
    page = system.report().read_text()
    assert "<h1>Segment: brain" in page
    table = page[page.index("<table", page.index('id="s3-how-good-it-is"')) :].partition("</table>")[0]
    assert table.count("<tr>") == 2  # the brain is in all studies, so its figures stand there once
    assert "surfaces within 8 mm" in page
    assert "Plainly not learnt" not in page


def test_a_fit_that_did_not_learn_is_told_at_the_top_of_its_page(fitted, tmp_path):
    cohort, system, _ = fitted
    system.evaluate(cohort, tmp_path / "e", say=str)
    path = tmp_path / "e" / "summary.json"
    record = json.loads(path.read_text())
    for row in record["rows"]:
        row["mean"] = 0.05 if row["measure"] == "Dice" else row["mean"]
    path.write_text(json.dumps(record))
    page = system.report(tmp_path / "page.html", results=[tmp_path / "e"]).read_text()
    words = "Plainly not learnt: mean Dice of brain 0.05. Do not use these outlines"
    assert page.index(words) < page.index('id="s2-how-it-learnt"')


def test_mask_that_is_not_there_is_refused_in_one_line(fitted, tmp_path):
    with pytest.raises(sw.ScanweaveError, match="mask: 'brian' is not in the cohort"):
        api.fit("segment", fitted[0], tmp_path / "no", config={**TINY, "mask": "brian"}, say=str)
    several = {key: value for key, value in TINY.items() if key != "mask"}
    with pytest.raises(sw.ScanweaveError, match=r"has several masks .* Name one or more by --mask"):
        api.fit("segment", fitted[0], tmp_path / "no", config=several, say=str)


def test_run_of_an_earlier_build_opens_with_its_numbers_as_names(fitted, tmp_path):
    cohort, system, _ = fitted
    old = shutil.copytree(system.run.folder, tmp_path / "old")
    (old / "target.json").unlink()
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"mask": "brain"}))
    opened = api.open_run(old)
    assert opened.target.names == tuple(str(value) for value in opened.plan.masks["brain"])
    study = cohort[cohort.studies[0]]
    masks = [run.predict(study).masks["brain"].data for run in (system, opened)]
    np.testing.assert_array_equal(*masks)


def begun(fitted, folder, say=str, **more):
    """Fit some steps, too small to be seen, from the weights of the fitted run."""
    steps = {"steps": 3, "validate_every": 2, "checkpoint_every": 1, "ema_decay": None}
    training = {**TINY["training"], **steps, "learning_rate": 1e-9, "final_learning_rate": 0.0}
    start = {"source": str(fitted[1].run.folder), **more.pop("start", {})}
    return api.fit("segment", fitted[0], folder, config={**TINY, "training": training, "start": start, **more}, say=say)


def same(one, other):
    """Return the parts of two networks whose weights are the same but for the smallest steps."""
    weights, others = (load_file(run.weights) for run in (one, other))
    unlike = {name.split(".")[0] for name in weights if not np.allclose(weights[name], others[name], atol=1e-5)}
    return {name.split(".")[0] for name in weights} - unlike


def test_fit_begins_from_another_run_and_keeps_its_account(fitted, tmp_path):
    lines = []
    run = begun(fitted, tmp_path / "run", lines.append).run
    assert any(line.startswith("start weights: 100.0 % of encoder") for line in lines)
    about = run.record["start_weights"]
    assert about["sha256"] == hashlib.sha256(fitted[1].run.weights.read_bytes()).hexdigest()
    assert (about["source"], about["parts"], about["fraction"]) == (str(fitted[1].run.folder), ["encoder"], 1.0)
    assert same(fitted[1].run, run) == {"encoder"}
    whole = begun(fitted, tmp_path / "whole", lines.append, start={"part": ""}).run
    assert any(line.startswith("start weights: 100.0 % (") for line in lines)
    assert same(fitted[1].run, whole) == {"encoder", "decoder", "head"}


def test_weights_of_another_network_are_refused_unless_told(fitted, tmp_path):
    wider = {"network": {**TINY["network"], "first_channels": 8}}
    with pytest.raises(sw.ScanweaveError, match=r"fits only .* % of the network's parameters"):
        begun(fitted, tmp_path / "no", **wider)
    run = begun(fitted, tmp_path / "yes", start={"partial": True}, **wider).run
    assert run.record["start_weights"]["fraction"] < 0.8
    with pytest.raises(sw.ScanweaveError, match=r"start.part: the network has no part 'tail'\. Choose from encoder"):
        begun(fitted, tmp_path / "tail", start={"part": "tail"})


def test_fit_from_weights_that_was_stopped_goes_on_without_them(fitted, tmp_path, monkeypatch):
    whole = begun(fitted, tmp_path / "whole").run
    source = shutil.copytree(fitted[1].run.folder, tmp_path / "source")
    original = SegmentationTask.validate

    def stopped(task, network):
        raise KeyboardInterrupt

    monkeypatch.setattr(SegmentationTask, "validate", stopped)
    with pytest.raises(KeyboardInterrupt):
        begun(fitted, tmp_path / "parts", start={"source": str(source)})
    monkeypatch.setattr(SegmentationTask, "validate", original)
    shutil.rmtree(source)
    parts = begun(fitted, tmp_path / "parts", start={"source": str(source)}).run
    assert parts.weights.read_bytes() == whole.weights.read_bytes()


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Studies with two masks that overlap, one of them named by its source; the last one lacks it."""
    folder = tmp_path_factory.mktemp("several")
    rng, rows = np.random.default_rng(0), []
    for number in range(7):
        tumour, organ = np.zeros((2, 16, 16, 16), np.uint8)
        a, b, c = rng.integers(2, 6, 3)
        organ[a : a + 8, b : b + 8, c : c + 8] = 2
        tumour[a : a + 4, b : b + 4, c : c + 4] = 1
        images = {"scan:ct": rng.normal(size=organ.shape) + 4 * (organ > 0) + 4 * tumour}
        images |= {"mask:tumour": tumour, "mask:organ": organ}
        row = {"study": f"s{number}", "patient": f"s{number}"}
        for heading, data in images.items():
            name = f"{number}-{heading[5:]}.nii.gz"
            nib.save(nib.Nifti1Image(data.astype(np.float32), np.diag([5.0, 5.0, 5.0, 1.0])), folder / name)
            row[heading] = None if (number, heading) == (6, "mask:organ") else name
        rows.append(row)
    about = {"name": "c", "source": "x", "layout": "table", "structures": {"organ": {"liver": [2]}}}
    cohort = sw.Cohort.create(folder / "c", rows, root=folder, **about)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(cohort.folder)


def test_several_masks_that_overlap(several, tmp_path, capsys):
    lines = []
    settings = {**TINY, "mask": "tumour,organ"}
    system = api.fit("segment", several, tmp_path / "run", config=settings, say=lines.append)
    told = "\n".join(lines)
    assert "left out: 1 study without the mask 'tumour' and 'organ' or any scan" in told
    assert re.search(r"target: tumour, liver; tumour and liver share [\d,]+ voxels in \d of \d training studies", told)
    run, folder, out = str(system.run.folder), str(several.folder), tmp_path / "p"
    assert main(["predict", run, "--cohort", folder, "--out", str(out)]) == 0
    made = sw.Cohort.open(out)
    assert set(made.names("mask")) == {"tumour", "organ"}
    assert [one.name for one in structures_of(made, ["organ", "tumour"])] == ["liver", "tumour"]  # names go along
    assert set(np.unique(made[made.studies[0]].masks["organ"].data)) <= {0, 2}
    table = system.evaluate(several, part="all", options={"tolerance": 5.0})
    assert {(row["study"], row["structure"]) for row in table.to_dict("records")} == {
        *((f"s{number}", name) for number in range(6) for name in ("tumour", "liver")),
        ("s6", "tumour"),  # nobody looked for its organ
    }
    page = system.report().read_text()
    assert "<h1>Segment: tumour, liver" in page
    assert "Outlines tumour, liver from ct" in page
    assert "a voxel may belong to several" in page


def test_study_without_scans_of_the_run_is_refused(fitted):
    with pytest.raises(sw.ScanweaveError, match="holds no scan of this run"):
        fitted[1].predict(sw.Study("x", "x"))


@pytest.mark.parametrize("field", ["kernels", "strides", "patch", "mirrored", "batch"])
def test_a_plan_of_a_network_that_cannot_be_is_refused_before_it_is_built(fitted, tmp_path, field):
    run = shutil.copytree(fitted[1].run.folder, tmp_path / "run")
    plan = json.loads((run / "network.json").read_text())
    plan[field] = {"kernels": [[10**9] * 3], "strides": [[10**9] * 3], "batch": 0}.get(field, [10**9] * 3)
    (run / "network.json").write_text(json.dumps(plan))
    with pytest.raises(sw.ScanweaveError, match=rf"network\.json: {field}.*Input should be"):
        api.open_run(run, "cpu")


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(fitted, tmp_path):
    cohort, system, _ = fitted
    run = shutil.copytree(system.run.folder, tmp_path / "sound")
    api.open_run(run, "cpu").evaluate(cohort, say=str)
    tried, faults = faults_at_report(run, tmp_path, seeds=3)
    assert tried >= 30
    assert not faults, "\n".join(faults)
