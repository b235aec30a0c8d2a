"""The verbs, on a tiny simulated cohort."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from scanweave.cli import demo
from scanweave.cli.main import main
from scanweave.studies.cohort import Cohort

TINY = [
    *("--training.steps", "4", "--training.validate_every", "4"),
    *("--sampling.crop", "16", "16", "--network.channels", "4", "8", "--network.blocks", "1", "--network.rank", "2"),
]
"""Options that make a fit a matter of seconds."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    pytest.importorskip("nilearn.datasets")
    folder = tmp_path_factory.mktemp("cli") / "cohort"
    simulate = "simulate brain --subjects 6 --seed 0 --spacing 8 --protocol random --missing 0.3 --keep-removed --out"
    assert main([*simulate.split(), str(folder)]) == 0
    assert main(["cohort", "split", str(folder), "--folds", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(cohort):
    folder = cohort.parent / "run"
    assert main(["fit", "seq2seq", "--cohort", str(cohort), "--run", str(folder), *TINY]) == 0
    return folder


def test_fit_says_each_choice_and_keeps_the_settings(run):
    config = json.loads((run / "config.json").read_text())
    assert config["preset"] == "small"
    assert config["network"]["channels"] == [4, 8]
    assert (run / "weights.safetensors").is_file()


def test_fit_again_with_another_setting_is_refused(cohort, run, capsys):
    assert main(["fit", "seq2seq", "--cohort", str(cohort), "--run", str(run), "--training.steps", "60"]) == 2
    assert "holds a run with another configuration" in capsys.readouterr().err


def test_predict_fills_what_is_absent(cohort, run, tmp_path, capsys):
    out = tmp_path / "made"
    assert main(["predict", str(run), "--cohort", str(cohort), "--out", str(out)]) == 0
    given, made = Cohort.open(cohort), Cohort.open(out)
    assert made.studies
    for study in made:
        absent = set(given.names("scan")) - set(given[study.id].scans)
        assert set(study.scans) == absent
        for name, scan in study.scans.items():
            assert scan.path.name == f"{study.id}_{name}_synthetic.nii.gz"
            np.testing.assert_array_equal(
                scan.geometry.affine, next(iter(given[study.id].scans.values())).geometry.affine
            )
            image = nib.load(scan.path)
            about = json.loads(image.header.extensions[0].get_content())
            assert b"synthetic" in image.header["descrip"].item()
            assert about["system"] == "seq2seq"
            assert set(about["sources"]) == set(given[study.id].scans)
            assert len(about["weights_sha256"]) == 12


def test_predict_named_targets_of_a_part_then_refuses_its_folder(cohort, run, tmp_path, capsys):
    command = ["predict", str(run), "--cohort", str(cohort), "--out", str(tmp_path / "o"), "--targets", "t1, t2"]
    assert main([*command, "--part", "test"]) == 0
    made = Cohort.open(tmp_path / "o")
    assert made.studies == Cohort.open(cohort).part("test", 0).studies
    assert made.names("scan") == ["t1", "t2"]
    assert main(command) == 2
    assert "exists already. Choose another folder for the predictions, or remove this one" in capsys.readouterr().err


def test_predict_unknown_target(cohort, run, tmp_path, capsys):
    command = ["predict", str(run), "--cohort", str(cohort), "--out", str(tmp_path / "o"), "--targets", "t9"]
    assert main(command) == 2
    assert "targets: the run does not know 't9'. Choose from t1," in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_study_that_fails_is_named_and_the_rest_goes_on(cohort, run, tmp_path, capsys):
    broken = shutil.copytree(cohort, tmp_path / "broken")
    victim = Cohort.open(broken).studies[2]
    for path in (broken / "studies" / victim).glob("*.nii.gz"):
        path.write_bytes(b"no image")
    command = ["predict", str(run), "--cohort", str(broken), "--out", str(tmp_path / "o"), "--targets", "t1"]
    assert main(command) == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert victim in told.err
    assert Cohort.open(tmp_path / "o").studies == [name for name in Cohort.open(broken).studies if name != victim]
    assert not list((tmp_path / "o").glob(".partial-*"))


def test_part_without_splits_tells_how_to_make_them(cohort, run, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    about = json.loads((cohort / "cohort.json").read_text()) | {"root": str(cohort)}
    (bare / "cohort.json").write_text(json.dumps(about))
    shutil.copy(cohort / "manifest.parquet", bare)
    command = ["predict", str(run), "--cohort", str(bare), "--out", str(tmp_path / "o"), "--part", "test"]
    assert main(command) == 2
    assert "scanweave cohort split" in capsys.readouterr().err


def test_run_of_an_unknown_system(run, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "run.json").write_text('{"system": "seq3seq"}')
    assert main(["report", str(other)]) == 2
    assert "run.json: names no known system." in capsys.readouterr().err


def test_demo_goes_all_the_way_and_goes_on(tmp_path, monkeypatch, capsys):
    for name, value in {"SUBJECTS": 6, "SPACING": 8.0, "FOLDS": 3, "SETTINGS": tuple(TINY)}.items():
        monkeypatch.setattr(demo, name, value)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "the redundant sequence t2r" in told
    assert "the unique sequence t1c" in told
    assert str(out / "run" / "report.html") in told
    (out / "run" / "report.html").unlink()
    assert main(["demo", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("done already") == 7
    monkeypatch.setattr(demo, "SUBJECTS", 7)
    assert main(["demo", "--out", str(out)]) == 2
