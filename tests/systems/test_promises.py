"""Every system keeps the promises of `check_system`; a system that breaks one is found."""

import numpy as np
import pandas as pd
import pytest

import scanweave as sw
from scanweave.engine.settings import StartSettings
from scanweave.framework.fitted_run import FittedRun
from scanweave.simulate.bodies import simulate_bodies
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.ct import simulate_ct
from scanweave.simulate.films import simulate_films
from scanweave.simulate.reports import simulate_reports
from scanweave.simulate.tumours import simulate_tumours
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.studies.tables.schema import parse_columns
from scanweave.systems import registry

FEW_STEPS = {"training": {"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 1, "log_every": 1}}


def split(cohort):
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(cohort.folder)


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains")
    return split(simulate_brain(folder / "c", subjects=6, seed=0, spacing=8.0, sequences=("t1", "flair")))


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    return split(simulate_ct(folder / "c", subjects=6, seed=0, size=32, views=12))


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    rng = np.random.default_rng(0)
    ill = np.arange(60) % 2
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(60)], "ill": ill, "marker": ill + rng.normal(size=60)})
    frame.assign(age=rng.integers(30, 80, 60)).to_csv(folder / "table.csv", index=False)
    return split(import_cohort(folder / "table.csv", folder / "c", columns=parse_columns("ill=label"), say=str))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    ill = np.arange(12) % 2
    np.savez(folder / "films.npz", train_images=rng.integers(0, 255, (12, 24, 24), np.uint8), train_labels=ill)
    cohort = import_cohort(folder / "films.npz", folder / "c", say=str)
    write_splits(cohort.folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(cohort.folder)


def test_seq2seq(brains, tmp_path):
    sw.check_system("seq2seq", brains, tmp_path / "runs", {**FEW_STEPS, "network": {"channels": [4, 8]}})


def test_seq2seq_fusing_its_sources(tmp_path):
    made = simulate_brain(tmp_path / "c", subjects=6, seed=0, spacing=8.0, sequences=("t1", "t2", "flair"))
    network = {"channels": [4, 8], "fusion": "latent"}
    sw.check_system("seq2seq", split(made), tmp_path / "runs", {**FEW_STEPS, "network": network})


def test_segment(brains, tmp_path):
    network = {"first_channels": 4, "stages": 3, "patch": [16, 16, 16]}
    training = {name: value for name, value in FEW_STEPS["training"].items() if name != "batch_size"}
    settings = {"training": training, "mask": "brain", "network": network}
    sw.check_system("segment", brains, tmp_path / "runs", settings)


def test_classify(films, tmp_path):
    sw.check_system("classify", films, tmp_path / "runs", {**FEW_STEPS, "network": {"encoder": "resnet10"}})


def test_detect(tmp_path):
    network = {"encoder": "resnet10", "encoder_width": 0.125, "pyramid_width": 8, "head_width": 8, "pyramid_layers": 1}
    settings = {**FEW_STEPS, "network": {**network, "size": [128, 128], "sampled": 16, "proposals": 20}}
    chests = simulate_films(tmp_path / "c", subjects=12, seed=0, size=128, prevalence=0.5)
    sw.check_system("detect", split(chests), tmp_path / "runs", settings)


def test_mgca(tmp_path):
    simulate_films(tmp_path / "films", subjects=12, seed=0, size=128, prevalence=0.5)
    network = {"encoder": "resnet10", "width": 0.125, "size": [32, 32], "embedding": 8, "hidden": 16, "prototypes": 4}
    text = {"width": 16, "layers": 1, "heads": 2, "most_tokens": 32}
    training = {**FEW_STEPS["training"], "batch_size": 2}
    reports = simulate_reports(tmp_path / "films", tmp_path / "c", seed=0)
    settings = {"network": network, "text": text, "training": training}
    sw.check_system("mgca", split(reports), tmp_path / "runs", settings)


def test_mg3d(tmp_path):
    simulate_bodies(tmp_path / "bodies", subjects=12, seed=0, spacing=8.0)
    network = {"encoder": "resnet10", "width": 0.125, "size": [32, 32, 32], "embedding": 8, "hidden": 16}
    network |= {"fusion_width": 16, "fusion_heads": 2}
    text = {"width": 16, "layers": 1, "heads": 2, "most_tokens": 32}
    training = {**FEW_STEPS["training"], "batch_size": 2}
    reports = simulate_reports(tmp_path / "bodies", tmp_path / "c", seed=0)
    settings = {"network": network, "text": text, "training": training, "objective": {"queue": 3, "gated": 0.1}}
    sw.check_system("mg3d", split(reports), tmp_path / "runs", settings)


def test_freetumor(tmp_path):
    made = simulate_tumours(tmp_path / "c", subjects=8, seed=0, spacing=8.0, tumours=0.9, diameter=(30.0, 40.0))
    network = {"first_channels": 4, "stages": 2, "patch": [12, 12, 12]}
    training = {name: value for name, value in FEW_STEPS["training"].items() if name != "batch_size"}
    settings = {"training": training, "network": network, "synthesis.diameters": [30.0]}
    sw.check_system("freetumor", split(made), tmp_path / "runs", settings, preset="rules")


def test_mome(films, tmp_path):
    network = {"width": 16, "heads": 2, "sparse_layers": 1, "soft_layers": 1, "experts": 2, "stem": [4, 8]}
    sampling = {"drop": 0.0}  # there is but one modality
    sw.check_system("mome", films, tmp_path / "runs", {**FEW_STEPS, "network": network, "sampling": sampling})


def test_ultra(slices, tmp_path):
    sw.check_system(
        "ultra",
        slices,
        tmp_path / "runs",
        {**FEW_STEPS, "network": {"architecture": "fbpconvnet"}, "sampling": {"crop": [16, 16]}},
    )


def test_acid(slices, tmp_path):
    tuning = {"steps": [0.3], "thresholds": [0.01], "tv_weights": [0.003], "images": 2}
    small = {"network": {"width": 4, "levels": 2}, "loop": {"iterations": 2}, "tuning": tuning}
    sw.check_system("acid", slices, tmp_path / "runs", {**FEW_STEPS, **small})


def test_adamedgraph(patients, tmp_path):
    settings = {"boosting.epochs": 8, "boosting.hidden": 4, "boosting.rounds": 3, "boosting.finalists": 2}
    sw.check_system("adamedgraph", patients, tmp_path / "runs", settings)


def test_every_system_that_trains_a_network_begins_from_weights_in_the_same_words():
    for about in registry.OURS.values():
        settings = about.preset(about.presets[0])
        assert hasattr(settings, "training") == isinstance(getattr(settings, "start", None), StartSettings), about.name


def test_prediction_that_looks_at_its_truth_is_found(brains, tmp_path, monkeypatch):
    from scanweave.systems.seq2seq.fitted import FittedSeq2Seq

    monkeypatch.setattr(FittedSeq2Seq, "predict", lambda self, study, targets=None: study.answer(scans=study.scans))
    with pytest.raises(AssertionError, match=r"seq2seq: a prediction does not depend on its truth: .*flair"):
        sw.check_system("seq2seq", brains, tmp_path / "runs", {**FEW_STEPS, "network": {"channels": [4, 8]}})


def test_unknown_target_is_refused_in_one_place():
    class Knowing(FittedRun):
        def __init__(self):
            self.plan = type("Plan", (), {"targets": ("t1",)})

    with pytest.raises(sw.ScanweaveError, match=r"the run does not know 'pet'\. Choose from t1"):
        Knowing().wanted(["pet"], ())
