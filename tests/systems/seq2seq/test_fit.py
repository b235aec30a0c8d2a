"""A fit from beginning to end, in a tiny network: what it takes, what it leaves, what it refuses."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import load_file

from scanweave.engine.run import Run
from scanweave.engine.settings import StartSettings
from scanweave.errors import ScanweaveError
from scanweave.exporting import export
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq import task as tasks
from scanweave.systems.seq2seq.system import Seq2Seq


@pytest.fixture(scope="module")
def cohort(fitted, tmp_path_factory):
    """The cohort of the fitted run, without the caches that lie in its folder."""
    folder = tmp_path_factory.mktemp("cohorts") / "sim"
    shutil.copytree(fitted.cohort.folder, folder, ignore=shutil.ignore_patterns("prepared"))
    return Cohort.open(folder)


def settings(fitted, **training):
    config = fitted.system.config
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def weights(run):
    return load_file(run / "weights.safetensors")


def test_incomplete_studies_are_learnt_from(fitted):
    run = fitted.system.run
    assert run.finished
    assert fitted.cohort.frame[[f"scan:{name}" for name in fitted.system.sequences]].isna().any(axis=None)
    rows = run.metrics()
    assert [row["step"] for row in rows if row["split"] == "train"] == [1, 2, 3, 4]
    assert all(np.isfinite(row["loss"]) for row in rows if row["split"] == "train")
    assert [row["step"] for row in rows if row["split"] == "validation"] == [2, 4]
    assert any(line.startswith("scans: t1 ") for line in fitted.lines)
    assert any(line.startswith("split of fold 0: ") for line in fitted.lines)
    known = fitted.cohort[fitted.cohort.studies[0]]
    assert set(fitted.system.predict(known, ["flair"]).scans) == {"flair"}


def test_a_stopped_fit_goes_on_to_the_same_weights(fitted, cohort, tmp_path, monkeypatch):
    config = settings(fitted, steps=4, checkpoint_every=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    Seq2Seq.fit(cohort, whole, config, say=lambda line: None)
    original, seen = tasks.Seq2SeqTask.validate, []

    def broken(self, network):
        seen.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks.Seq2SeqTask, "validate", broken)
    with pytest.raises(KeyboardInterrupt):
        Seq2Seq.fit(cohort, stopped, config, say=lambda line: None)
    assert seen
    assert Run.open(stopped).state == "stopped"
    monkeypatch.setattr(tasks.Seq2SeqTask, "validate", original)
    Seq2Seq.fit(cohort, stopped, config, say=lambda line: None)
    first, second = weights(whole), weights(stopped)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_fit_begins_from_another_run(fitted, cohort, tmp_path):
    start = StartSettings(source=str(fitted.system.run.folder), part="")
    config = settings(fitted, steps=1, validate_every=1).model_copy(update={"start": start})
    run = Seq2Seq.fit(cohort, tmp_path / "run", config, say=lambda line: None).run
    assert run.record["start_weights"]["fraction"] == 1


def test_a_finished_run_is_only_opened(fitted, cohort, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(fitted.system.run.folder, run)
    before = (run / "weights.safetensors").stat().st_mtime_ns

    def never(*_, **__):
        raise AssertionError("a finished run must not prepare or train")

    monkeypatch.setattr("scanweave.framework.cohort_fit.train", never)
    monkeypatch.setattr("scanweave.framework.scan_system.prepare_parts", never)
    system = Seq2Seq.fit(fitted.cohort, run, fitted.system.config, say=lambda line: None)
    assert system.sequences == fitted.system.sequences
    assert (run / "weights.safetensors").stat().st_mtime_ns == before


def test_another_configuration_is_refused(fitted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(fitted.system.run.folder, run)
    with pytest.raises(ScanweaveError, match=r"another configuration: training\.learning_rate"):
        Seq2Seq.fit(fitted.cohort, run, settings(fitted, learning_rate=0.5), say=lambda line: None)


def test_settings_that_were_copied_past_their_checks_are_refused(fitted, tmp_path):
    wrong = settings(fitted, learning_rate=-1.0)
    with pytest.raises(ScanweaveError, match="learning_rate"):
        Seq2Seq.fit(fitted.cohort, tmp_path / "run", wrong, say=lambda line: None)
    assert not (tmp_path / "run").exists()


def test_a_run_that_asks_for_a_network_that_no_memory_holds_is_refused(fitted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(fitted.system.run.folder, run, ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((run / "config.json").read_text())
    config["network"] |= {"channels": [16384] * 4, "rank": 16384, "blocks": 4}
    config["sampling"]["crop"] = [96, 96]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ScanweaveError, match=r"config\.json: its .* million parameters take .* Lower network.channels"):
        Seq2Seq.open(run, "cpu")


def test_a_run_tells_what_its_cohort_was(fitted):
    about = fitted.system.run.folder / "cohort.json"
    assert about.is_file()


def test_a_cohort_split_again_is_refused(fitted, cohort, tmp_path):
    folder = tmp_path / "sim"
    shutil.copytree(cohort.folder, folder)
    write_splits(folder, make_splits(cohort.patients, 3, seed=9), again=True)
    with pytest.raises(ScanweaveError, match=r"split.*restore splits\.json"):
        fitted.system.evaluate(Cohort.open(folder), say=lambda line: None)


def test_without_validation_the_last_weights_are_kept(fitted, cohort, tmp_path):
    folder = tmp_path / "sim"
    shutil.copytree(cohort.folder, folder)
    (folder / "splits.json").unlink()
    write_splits(folder, make_splits(cohort.patients, 3, seed=1, validation=False))
    lines = []
    system = Seq2Seq.fit(Cohort.open(folder), tmp_path / "run", settings(fitted, steps=1), say=lines.append)
    assert system.run.record["weights"] == "ema"  # the moving average of the last step, not a best one
    assert any("no study is set aside" in line for line in lines)
    assert {row["split"] for row in system.run.metrics()} == {"train"}


def images(folder, shape):
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(4):
        data = np.random.default_rng([3, number]).uniform(0, 100, shape).astype(np.float32)
        data[:6] = 0
        row = {"study": f"s{number}", "patient": f"p{number}"}
        for name in ("t1", "dce"):
            frames = data if name == "dce" else data.reshape(*shape[:3], -1)[..., 0]
            nib.save(nib.Nifti1Image(frames, np.diag([4.0, 4.0, 4.0, 1.0])), folder / "images" / f"{number}_{name}.nii")
            row[f"scan:{name}"] = f"images/{number}_{name}.nii"
        rows.append(row)
    made = Cohort.create(folder, rows, root=".", name="c", source="test", layout="table")
    write_splits(folder, make_splits(made.patients, 3, seed=0))
    return Cohort.open(folder)


def test_series_are_learnt_from_and_made(fitted, tmp_path):
    series, lines = images(tmp_path / "c", (20, 20, 12, 5)), []
    system = Seq2Seq.fit(series, tmp_path / "run", settings(fitted, steps=1), say=lines.append)
    assert any(line.startswith("dce: a series, 5 frames in each study") for line in lines)
    made = system.predict(series["s0"].without("dce"))
    assert made["dce"].data.shape == (20, 20, 12, 5)


def test_a_sequence_that_the_cohort_lacks_is_named(fitted, tmp_path):
    config = fitted.system.config.model_copy(update={"sequences": ("t1", "pet")})
    with pytest.raises(ScanweaveError, match="'pet' is not in the cohort"):
        Seq2Seq.fit(fitted.cohort, tmp_path / "run", config, say=lambda line: None)


def test_one_sequence_is_too_few(fitted, tmp_path):
    config = fitted.system.config.model_copy(update={"sequences": ("t1",)})
    with pytest.raises(ScanweaveError, match="has volumes of 1 sequence"):
        Seq2Seq.fit(fitted.cohort, tmp_path / "run", config, say=lambda line: None)


def test_seeds_decide_the_weights(fitted, cohort, tmp_path):
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        Seq2Seq.fit(cohort, tmp_path / name, settings(fitted, steps=1, seed=seed), say=lambda line: None)
        runs[name] = weights(tmp_path / name)
    assert all(np.array_equal(runs["a"][key], runs["b"][key]) for key in runs["a"])
    assert any(not np.array_equal(runs["a"][key], runs["c"][key]) for key in runs["a"])


def test_its_network_computes_the_same_from_a_file(fitted, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(fitted.system.run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
