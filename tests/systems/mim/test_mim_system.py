"""MiM from a cohort to a report, and its encoder in other systems."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from tiny_mim import TINY

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.exporting import export
from scanweave.files import read_json
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.films import simulate_films
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.mim.samples import CropSamples

SEGMENT = {
    "mask": "brain",
    "network": {"patch": [16, 16, 16]},
    "training": {"steps": 2, "validate_every": 2, "warm_up": 0, "device": "cpu", "workers": 0},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mim")
    cohort = simulate_brain(folder / "c", subjects=20, seed=0, spacing=8.0, sequences=("t1", "flair"))
    frame = cohort.frame.assign(**{"label:side": [str(number % 2) for number in range(len(cohort))]})
    cohort = sw.Cohort.create(
        folder / "labelled", frame.to_dict("records"), root=cohort.root, name="brains", source="", layout=""
    )
    write_splits(cohort.folder, make_splits(cohort.patients, 5, seed=1))
    cohort = sw.Cohort.open(cohort.folder)
    lines: list[str] = []
    return cohort, api.fit("mim", cohort, folder / "run", config=TINY, say=lines.append), lines


def test_every_scan_is_an_image_by_itself(fitted):
    assert any("images to learn from: " in line and "t1 " in line and "flair " in line for line in fitted[2])


def test_the_same_seed_gives_the_same_weights(fitted, tmp_path):
    cohort, run, _ = fitted
    torch.rand(5)
    again = api.fit("mim", cohort, tmp_path / "again", config=TINY, say=str)
    assert again.run.weights.read_bytes() == run.run.weights.read_bytes()


def test_reconstructions_lie_on_the_native_grid(fitted):
    cohort, run, _ = fitted
    study = cohort[cohort.studies[0]]
    made = run.predict(study)
    assert set(made.scans) == {"t1", "flair"}
    assert made["t1"].geometry.shape == study["t1"].geometry.shape
    own, real = (np.asarray(one["t1"].data, dtype=np.float64) for one in (made, study))
    assert np.abs(own.mean() - real.mean()) < 0.1 * real.std()  # each block has mean and deviation of the true one
    assert own.std() == pytest.approx(real.std(), rel=0.3)
    assert run.predict(study, ["embedding"]).embeddings["mim"].shape == (8,)
    assert set(run.predict(study, ["flair"]).scans) == {"flair"}


def test_a_reconstruction_of_a_block_does_not_see_it(fitted):
    """A block whose voxels change places, mean and deviation kept, is reconstructed as before."""
    _, run, _ = fitted
    reconstructor = run.reconstructor
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(16, 16, 16)).astype(np.float32)
    changed = volume.copy()
    block = changed[4:8, 4:8, 4:8]
    changed[4:8, 4:8, 4:8] = rng.permutation(block.ravel()).reshape(block.shape)
    before, after = (reconstructor.reconstructed(one, 0.0, seed=3)[4:8, 4:8, 4:8] for one in (volume, changed))
    assert np.allclose(before, after, atol=1e-5)


def test_features_of_voxels_are_those_of_where_they_lie(fitted):
    _, run, _ = fitted
    volume = np.random.default_rng(0).normal(size=(20, 16, 16)).astype(np.float32)
    voxels = np.array([[0, 0, 0], [17, 3, 9]])
    features = run.reconstructor.voxel_features(volume, 0.0, voxels)
    assert features.shape == (2, sum(run.reconstructor.network.encoder.channels) + 1)
    assert features[:, -1].tolist() == pytest.approx([volume[0, 0, 0], volume[17, 3, 9]])
    finest = run.reconstructor.network.encoder(torch.from_numpy(volume[None, None, :16]))[0][0, :, 0, 0, 0]
    assert features[0, : len(finest)] == pytest.approx(finest.numpy(), abs=1e-5)


def test_the_way_by_the_command_line(fitted, tmp_path, capsys):
    cohort, run, _ = fitted
    words = [str(run.run.folder), "--cohort", str(cohort.folder)]
    assert main(["evaluate", *words, "--pictures", "1"]) == 0
    told = capsys.readouterr().out
    assert "probe: side, AUROC" in told
    assert "random weights" in told
    folder = run.run.folder / "evaluation"
    errors = pd.read_csv(folder / "errors.csv")
    assert set(errors["level"]) == {"level 1", "level 2"}
    probes = pd.read_csv(folder / "probes.csv")
    assert set(probes["features"]) == {"fitted", "random weights"}
    assert len(list(folder.glob("*.png"))) == 1
    page = run.report().read_text(encoding="utf-8")
    assert "What is told from its features" in page
    assert "How well it reconstructs" in page
    assert main(["predict", *words, "--out", str(tmp_path / "p"), "--part", "test", "--targets", "t1"]) == 0
    made = sw.Cohort.open(tmp_path / "p")
    assert made.names("scan") == ["t1"]


def test_segment_begins_from_the_encoder(fitted, tmp_path):
    cohort, run, _ = fitted
    lines: list[str] = []
    made = api.fit(
        "segment", cohort, tmp_path / "from", config=[SEGMENT, {"start.source": str(run.run.folder)}], say=lines.append
    )
    assert any("start weights: 100.0 % of encoder" in line for line in lines)
    assert any(line.startswith("encoder: hybrid") for line in lines)
    assert "brain" in api.open_run(made.run.folder).predict(cohort[cohort.studies[0]]).masks
    like = api.fit(
        "segment", cohort, tmp_path / "like", config=[SEGMENT, {"network.encoder": str(run.run.folder)}], say=str
    )
    own, others = (set(load_file(one.run.weights)) for one in (made, like))
    assert own == others
    first = load_file(run.run.weights)["encoder.halvings.0.convolution.weight"]
    stem = load_file(made.run.weights)["encoder.halvings.0.convolution.weight"]
    assert stem.shape == (4, 2, 2, 2, 2)
    assert np.abs(stem.sum(axis=1) - first[:, 0]).max() < 0.05  # two steps after it was adapted to two scans


def test_classify_begins_from_the_encoder(fitted, tmp_path):
    cohort, run, _ = fitted
    steps = {"steps": 2, "validate_every": 2, "batch_size": 2, "device": "cpu", "workers": 0, "ema_decay": None}
    config = {"labels": "side", "training": steps, "start": {"source": str(run.run.folder)}}
    lines: list[str] = []
    made = api.fit("classify", cohort, tmp_path / "run", preset="small", config=config, say=lines.append)
    assert any("start weights: 100.0 % of encoder" in line for line in lines)
    study = cohort[cohort.studies[0]]
    again = api.open_run(made.run.folder)
    assert np.allclose(again.probabilities(study), made.probabilities(study))


def test_a_run_without_an_encoder_for_others_is_named(fitted, tmp_path):
    cohort, _, _ = fitted
    plain = api.fit(
        "segment",
        cohort,
        tmp_path / "plain",
        config={**SEGMENT, "network": {"first_channels": 4, "stages": 2, "patch": [16, 16, 16]}},
        say=str,
    )
    with pytest.raises(ScanweaveError, match="has no pre-trained encoder"):
        api.fit(
            "segment", cohort, tmp_path / "run", config=[SEGMENT, {"network.encoder": str(plain.run.folder)}], say=str
        )


def test_a_probe_learns_from_nobody_whom_it_is_tried_on(fitted, tmp_path, monkeypatch):
    from scanweave.systems.mim import probes

    cohort, run, _ = fitted
    seen = []
    ready = probes._Probe._ready
    monkeypatch.setattr(
        probes._Probe, "_ready", lambda self, part, *more: seen.append(part.patients) or ready(self, part, *more)
    )
    lines: list[str] = []
    names = cohort.part("train").studies[:4] + cohort.part("test").studies
    run.evaluate(cohort.select(names), tmp_path / "e", part="all", options={"pictures": 0}, say=lines.append)
    assert seen or any("no probe of" in line for line in lines)
    learnt, tried = seen[0::2], seen[1::2]
    assert not any(set(one) & set(two) for one, two in zip(learnt, tried, strict=True))


def test_a_fit_that_was_stopped_goes_on_to_the_same_weights(fitted, tmp_path, monkeypatch):
    cohort, run, _ = fitted
    often = {**TINY, "training": {**TINY["training"], "checkpoint_every": 1}}
    read = CropSamples.__getitem__

    def stopping(self, index):
        if index == 5:
            raise KeyboardInterrupt
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(CropSamples, "__getitem__", stopping)
        with pytest.raises(KeyboardInterrupt):
            api.fit("mim", cohort, tmp_path / "run", config=often, say=str)
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    made = api.fit("mim", cohort, tmp_path / "run", config=often, say=str)
    assert made.run.weights.read_bytes() == run.run.weights.read_bytes()


def test_films_are_refused(tmp_path):
    films = simulate_films(tmp_path / "c", subjects=12, seed=0, size=128)
    with pytest.raises(ScanweaveError, match="is a film or slice of"):
        api.fit("mim", films, tmp_path / "run", config=TINY, say=str)


def test_the_encoder_is_told_to_other_systems(fitted):
    told = read_json(fitted[1].run.folder / "encoder.json", "")
    assert told["name"] == "hybrid"
    assert told["options"]["widths"] == [4, 8]


def test_its_network_computes_the_same_from_a_file(fitted, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(fitted[1].run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
