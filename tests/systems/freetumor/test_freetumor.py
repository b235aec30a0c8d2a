"""FreeTumor from a cohort to tumours in other scans."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.exported_models import open_model
from scanweave.exporting import export
from scanweave.simulate.tumours import simulate_tumours
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.freetumor.report import acceptance

STEPS = {"warm_up": 0, "validate_every": 2, "log_every": 1}
TINY = {
    "network": {"patch": [16, 16, 16], "first_channels": 4, "stages": 3},
    "training": {"steps": 3, "device": "cpu", **STEPS},
    "judge": {"steps": 3, **STEPS},
    "generator": {"first_channels": 2, "training": {"steps": 2, "batch_size": 2, "log_every": 1}},
    "synthesis": {"diameters": [20.0, 30.0], "accepted": [0.0, 1.0]},
}


@pytest.fixture(scope="module")
def livers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("livers")
    settings = {"spacing": 6.0, "tumours": 0.6, "unlabelled": 0.7, "diameter": (24.0, 40.0)}
    cohort = simulate_tumours(folder / "c", subjects=9, seed=0, **settings)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(cohort.folder)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    return simulate_tumours(folder / "c", subjects=3, seed=90, spacing=6.0, tumours=0.0, unlabelled=1.0)


@pytest.fixture(scope="module")
def fitted(livers, tmp_path_factory):
    lines: list[str] = []
    run = api.fit("freetumor", livers, tmp_path_factory.mktemp("run") / "run", config=TINY, say=lines.append)
    return run, "\n".join(lines)


def test_three_stages_follow_each_other_and_are_told(fitted):
    run, text = fitted
    assert [text.index(f"network: {name}") for name in ("judge", "generator", "segmentor")] == sorted(
        text.index(f"network: {name}") for name in ("judge", "generator", "segmentor")
    )
    assert "contrast -" in text  # tumours are darker than the liver
    assert {path.name for path in (run.run.folder / "stages").iterdir()} == {
        "judge.safetensors",
        "generator.safetensors",
    }
    assert run.plan.targets == ("tumours",)
    assert 0 < acceptance(run.run.metrics()) <= 1


def test_a_fit_that_is_finished_is_not_done_again(fitted, livers):
    lines: list[str] = []
    api.fit("freetumor", livers, fitted[0].run.folder, config=TINY, say=lines.append)
    assert any("nothing to do" in line for line in lines)


def test_it_is_evaluated_by_tumours_at_one_price_and_shown(fitted, livers, capsys):
    run = fitted[0].run.folder
    assert main(["evaluate", str(run), "--cohort", str(livers.folder), "--part", "all", "--false-rate", "1"]) == 0
    assert "sensitivity at 1 false a scan" in capsys.readouterr().out
    record = json.loads((run / "evaluation" / "summary.json").read_text())
    assert record["about"]["lesions_at_rate"][0]["threshold"] > 0
    assert (run / "evaluation" / "lesions_at_rate.csv").is_file()
    page = api.open_run(run).report().read_text()
    assert "Tumours at one price" in page
    assert "Made tumours that counted" in page


def test_predict_writes_the_mask_of_tumours_alone(fitted, livers, tmp_path):
    made = api.predict(fitted[0], livers, tmp_path / "p", part="test")
    assert made.made == {"mask": len(livers.part("test"))}
    with pytest.raises(ScanweaveError, match="organs"):
        api.predict(fitted[0], livers, tmp_path / "q", targets=["organs"])


def test_a_run_puts_tumours_into_a_scan_of_another_grid(fitted, livers):
    run = fitted[0]
    study = livers[livers.studies[0]]
    scan, organ = study["ct"], np.asarray(study.masks["organs"].data) == 1
    fine = np.repeat(np.asarray(scan.data), 2, axis=0)[:, ::-1]  # another spacing, and another direction of an axis
    affine = scan.geometry.affine @ np.diag([0.5, -1, 1, 1])
    affine[:3, 3] += scan.geometry.affine[:3, 1] * (scan.geometry.shape[1] - 1)
    other = sw.Scan.of(np.ascontiguousarray(fine), affine)
    inside = np.ascontiguousarray(np.repeat(organ, 2, axis=0)[:, ::-1])
    made = sw.synthesize(other, inside, run=run, diameter_mm=26, seed=1)
    changed = np.asarray(made.scan.data) != np.asarray(other.data)
    assert changed.any()
    assert not changed[~inside].any()
    assert made.tumours[0]["diameter_mm"] == pytest.approx(26, rel=0.15)
    low, high = run.config.synthesis.accepted
    assert low <= made.tumours[0]["judged"] <= high
    same = sw.synthesize(other, inside, run=run.run.folder, diameter_mm=26, seed=1)
    assert np.array_equal(same.scan.data, made.scan.data)
    exact = sw.synthesize(other, inside, run=run, diameter_mm=26, seed=1, contrast=-33.0)
    assert exact.tumours[0]["contrast"] == pytest.approx(-33, abs=0.6)


def test_what_the_judge_refuses_is_not_put_in(fitted, livers, monkeypatch):
    run = fitted[0]
    study = livers[livers.studies[0]]
    strict = run.config.model_copy(
        update={"synthesis": run.config.synthesis.model_copy(update={"accepted": (0.999, 1.0)})}
    )
    monkeypatch.setattr(run, "config", strict)
    with pytest.raises(ScanweaveError, match=r"the judge refused 8 tumours \(the last: 0\.\d+\)"):
        sw.synthesize(study["ct"], study.masks["organs"], run=run, diameter_mm=26)


def test_the_way_by_the_command_line(fitted, livers, tmp_path, capsys):
    study = livers.studies[0]
    source = livers.folder / "studies" / study
    scan, organ = str(source / "ct.nii.gz"), str(source / "organs.nii.gz")
    common = ["--organ-mask", organ, "--diameter-mm", "20", "--seed", "3"]
    assert main(["synthesize", scan, *common, "--rules", "--out", str(tmp_path / "a")]) == 0
    image = nib.load(tmp_path / "a" / "ct_synthetic.nii.gz")
    assert image.header["descrip"].tobytes().startswith(b"synthetic image made by scanweave")
    told = json.loads(image.header.extensions[0].get_content())
    assert told["seed"] == 3
    assert told["tumours"][0]["asked_mm"] == 20
    place = told["tumours"][0]["centre_mm"]
    asked = ["--centre-mm", *map(str, place), "--run", str(fitted[0].run.folder)]
    assert main(["synthesize", scan, *common, *asked, "--out", str(tmp_path / "b")]) == 0
    facts = json.loads((tmp_path / "b" / "ct_synthesis.json").read_text())
    assert facts["tumours"][0]["centre_voxel"] == told["tumours"][0]["centre_voxel"]
    assert facts["maker"] == "freetumor"
    capsys.readouterr()


def test_a_cohort_gets_tumours_on_any_number_of_processes(healthy, tmp_path, capsys):
    asked = ["synthesize", str(healthy.folder), "--organ-mask", "organs", "--organ", "liver", "--rules"]
    asked += ["--growth", "12", "20", "--shape", "grown", "--studies", *healthy.studies[:2]]
    found = []
    for name, workers in (("a", "1"), ("b", "2")):
        assert main([*asked, "--workers", workers, "--out", str(tmp_path / name)]) == 0
        made = sw.Cohort.open(tmp_path / name)
        assert len(made) == 4
        found.append([np.asarray(study["ct"].data) for study in made])
        assert made.frame["table:largest_mm"].max() > 18
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))
    assert main([*asked, "--out", str(tmp_path / "a")]) == 0  # goes on where it stopped: all is there
    assert main([*asked, "--seed", "1", "--out", str(tmp_path / "a")]) == 2
    assert "another" in capsys.readouterr().err
    one = ["synthesize", str(healthy.folder), "--organ-mask", "organs", "--rules", "--studies", healthy.studies[1]]
    assert main([*one, "--out", str(tmp_path / "alone")]) == 0
    assert main([*one, healthy.studies[0], "--out", str(tmp_path / "both")]) == 0
    alone, both = (sw.Cohort.open(tmp_path / name)[healthy.studies[1]]["ct"].data for name in ("alone", "both"))
    assert np.array_equal(alone, both)  # a study's tumour does not depend on which others are asked for


def test_a_call_that_made_nothing_leaves_nothing_behind(healthy, tmp_path, capsys):
    asked = ["synthesize", str(healthy.folder), "--organ-mask", "organs", "--rules", "--out", str(tmp_path / "o")]
    assert main([*asked, "--diameter-mm", "299"]) == 2
    assert not (tmp_path / "o").exists()
    assert main([*asked, "--diameter-mm", "20", "--workers", "0"]) == 2
    assert main([*asked, "--diameter-mm", "20"]) == 0
    capsys.readouterr()


def test_a_study_with_drawn_tumours_is_refused(livers, tmp_path, capsys):
    drawn = next(
        study.id for study in livers if "tumours" in study.masks and np.asarray(study.masks["tumours"].data).any()
    )
    asked = ["synthesize", str(livers.folder), "--organ-mask", "organs", "--rules", "--studies", drawn]
    assert main([*asked, "--out", str(tmp_path / "o")]) == 2
    assert "tumours are drawn in its mask 'tumours'" in capsys.readouterr().out


def test_a_series_of_a_run_lies_within_itself(fitted, healthy, tmp_path):
    sw.synthesize_cohort(
        healthy,
        tmp_path / "o",
        organ_mask="organs",
        run=fitted[0].run.folder,
        studies=healthy.studies[:1],
        growth=(14, 22, 30),
        say=str,
    )
    masks = [np.asarray(study.masks["tumours"].data) > 0 for study in sw.Cohort.open(tmp_path / "o")]
    sizes = sorted(masks, key=np.sum)
    assert not (sizes[0] & ~sizes[1]).any()
    assert not (sizes[1] & ~sizes[2]).any()
    with pytest.raises(ScanweaveError, match="one tumour grows in a series"):
        sw.synthesize_cohort(healthy, tmp_path / "p", organ_mask="organs", rules=True, growth=(8, 12), count=2, say=str)


def test_scans_without_units_are_refused(fitted, livers, tmp_path):
    made = sw.simulate_brain(tmp_path / "c", subjects=4, seed=0, spacing=8.0, sequences=("t1",))
    settings = {"organ_mask": "brain", "scans": "t1", "preparation.window": None, "network": TINY["network"]}
    with pytest.raises(ScanweaveError, match="as CT in HU does"):
        api.fit("freetumor", made, tmp_path / "r", preset="rules", config={**settings, "mask": "tissue"}, say=str)
    study = livers[livers.studies[0]]
    with pytest.raises(ScanweaveError, match="in HU alone"):
        sw.synthesize(study["ct"], study.masks["organs"], run=fitted[0], unit="percent")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "Give --run RUN, or --rules"),
        (["--rules", "--organ-mask", "nothing"], "'nothing' is not in the cohort"),
        (["--rules", "--organ", "spleen"], "'spleen' is no structure of organs"),
        (["--rules", "--scan", "mr"], "'mr' is not in the cohort"),
        (["--rules", "--centre", "1", "2", "3"], "one place does not fit the scans of a cohort"),
        (["--rules", "--growth", "8", "--diameter-mm", "9"], "says the diameters already"),
        (["--rules", "--diameter-mm", "900"], "diameter_mm"),
        (["--rules", "--seed", "-1"], "seed: -1 is too small"),
        (["--rules", "--growth", "8", "12", "--count", "2"], "one tumour grows in a series"),
    ],
)
def test_mistakes_are_told_in_one_line(livers, tmp_path, capsys, more, words):
    asked = ["synthesize", str(livers.folder), "--out", str(tmp_path / "o"), "--organ-mask", "organs"]
    assert main([*asked, *more]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_rules_need_neither_judge_nor_generator(livers, tmp_path):
    training = {"steps": 2, "device": "cpu", **STEPS}
    settings = {"network": TINY["network"], "training": training, "synthesis.diameters": [20.0]}
    run = api.fit("freetumor", livers, tmp_path / "rules", preset="rules", config=settings, say=str)
    assert not (run.run.folder / "stages").exists()
    study = livers[livers.studies[0]]
    with pytest.raises(ScanweaveError, match="has no generator"):
        sw.synthesize(study["ct"], study.masks["organs"], run=run)
    made = sw.synthesize(study["ct"], study.masks["organs"], run=run, rules=True, diameter_mm=25)
    low, high = min(run.looks.contrasts), max(run.looks.contrasts)
    assert low - 1 <= made.tumours[0]["contrast"] <= high + 1


def test_real_tumours_are_copied(livers, tmp_path):
    training = {"steps": 2, "device": "cpu", **STEPS}
    settings = {"network": TINY["network"], "training": training, "synthesis.source": "copied"}
    run = api.fit("freetumor", livers, tmp_path / "copied", preset="rules", config=settings, say=str)
    assert acceptance(run.run.metrics()) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"organ_mask": "bones"}, "'bones' is not in the cohort"),
        ({"organ": "spleen"}, "'spleen' is not in the cohort"),
        ({"mask": "organs,tumours"}, "one mask of tumours is learnt"),
        ({"synthesis.accepted": [0.9, 0.1]}, "0.9 is above 0.1"),
        ({"synthesis.source": "rules", "synthesis.gain": [0.5, 1.0]}, "without a generator"),
    ],
)
def test_settings_that_cannot_be_are_refused(livers, tmp_path, settings, words):
    with pytest.raises(ScanweaveError, match=words.replace("[", r"\[")):
        api.fit("freetumor", livers, tmp_path / "r", config={**TINY, **settings}, say=str)
    assert not (tmp_path / "r").exists()


def test_without_any_drawn_tumour_only_fixed_rules_remain(tmp_path):
    made = simulate_tumours(tmp_path / "c", subjects=6, seed=0, spacing=8.0, tumours=0.0, unlabelled=1.0)
    training = {"steps": 2, "device": "cpu", **STEPS}
    settings = {"network": TINY["network"], "training": training, "synthesis.diameters": [25.0]}
    with pytest.raises(ScanweaveError, match="no tumour is drawn in the training studies"):
        api.fit("freetumor", made, tmp_path / "r", preset="rules", config=settings, say=str)
    fixed = {**settings, "synthesis.contrast": "fixed"}
    run = api.fit("freetumor", made, tmp_path / "s", preset="rules", config=fixed, say=str)
    assert run.target.names == ("tumour",)
    assert torch.isfinite(torch.cat([one.flatten() for one in run.segmenter.network.parameters()])).all()


def test_its_network_computes_the_same_from_a_file(fitted, livers, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(fitted[0].run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
    study = next(iter(livers))
    theirs, ours = fitted[0].predict(study).masks, open_model(made.path).predict(study).masks
    assert list(ours) == list(theirs)
    assert all((mask.data != theirs[name].data).mean() < 1e-3 for name, mask in ours.items())
