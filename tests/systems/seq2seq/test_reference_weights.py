"""The authors' weights: taken over whole, or refused in one line with nothing run and nothing left behind."""

import os
import pickle

import numpy as np
import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.reference_weights import BRATS_ORDER, import_weights, reference_name, renamed
from scanweave.systems.seq2seq.system import Seq2Seq

SETTINGS = NetworkSettings(channels=(4, 6, 8), blocks=1, lstm_layers=1, rank=2, kernel_size=3, code_length=8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Seq2SeqNetwork(SETTINGS)


@pytest.fixture(scope="module")
def theirs(network):
    """The state as the authors' names have it."""
    return {reference_name(name): tensor for name, tensor in network.state_dict().items()}


def refused(source, out, *words):
    with pytest.raises(ScanweaveError) as told:
        import_weights(source, out, SETTINGS)
    message = str(told.value)
    assert "\n" not in message
    assert str(source) in message
    assert len(message) < 600
    for word in words:
        assert word in message
    assert not out.exists()
    assert not list(out.parent.glob(".partial-*"))


def saved(path, value):
    torch.save(value, path)
    return path


@pytest.mark.parametrize("wrapped", ["state_dict", "DataParallel", "old format"])
def test_weights_arrive_in_our_network(network, theirs, tmp_path, wrapped):
    state = {f"module.{name}": tensor for name, tensor in theirs.items()} if wrapped == "DataParallel" else theirs
    state = {"state_dict": state, "epoch": 3} if wrapped == "state_dict" else state
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=wrapped != "old format")
    system = Seq2Seq.open(import_weights(tmp_path / "w.pth", tmp_path / "run", SETTINGS), "cpu")
    for name, tensor in system.synthesizer.network.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=0, atol=0)


def test_an_imported_run_predicts_and_reports(theirs, tmp_path):
    system = Seq2Seq.open(import_weights(saved(tmp_path / "w.pth", theirs), tmp_path / "run", SETTINGS), "cpu")
    assert system.run.finished
    assert system.sequences == BRATS_ORDER
    ball = np.linalg.norm(np.indices((30, 28, 20)) - np.array([15, 14, 10])[:, None, None, None], axis=0) < 9
    data = ball * np.random.default_rng(0).uniform(50, 100, ball.shape).astype(np.float32)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    study = Study("s", "p", {name: Scan.of(data, affine) for name in ("t1", "t2")})
    made = system.predict(study)
    assert set(made.scans) == {"t1c", "flair"}
    assert made["flair"].data.shape == data.shape
    assert 0 <= made["flair"].data.min() <= made["flair"].data.max() <= 2  # relative units: the scale is not known
    assert 0 <= system.predict(study, ["t2"])["t2"].data.max() <= 2 * 100  # that of the scan, where there is one
    assert system.report().is_file()


def test_an_imported_run_folder_is_whole(theirs, tmp_path):
    out = import_weights(saved(tmp_path / "w.pth", theirs), tmp_path / "run", SETTINGS)
    assert {"weights.safetensors", "config.json", "plan.json", "run.json"} <= {path.name for path in out.iterdir()}
    with pytest.raises(ScanweaveError, match="exists already"):
        import_weights(tmp_path / "w.pth", out, SETTINGS)


class Evil:
    """Pickled as a call of `os.system`."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["pickle", "among weights"])
def test_a_pickle_that_runs_a_command_does_not(theirs, tmp_path, form):
    witness, source = tmp_path / "witness", tmp_path / "evil.pth"
    evil = Evil(f"touch {witness}")
    if form == "pickle":
        source.write_bytes(pickle.dumps(evil))
    else:
        torch.save({**theirs, "extra": evil}, source)
    refused(source, tmp_path / "run", "not a plain file of weights")
    assert not witness.exists()


def test_the_command_would_run_in_an_ordinary_loader(tmp_path):
    """The control: the payload works."""
    witness = tmp_path / "witness"
    pickle.loads(pickle.dumps(Evil(f"touch {witness}")))  # noqa: S301
    assert witness.exists()


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_truncated_files(theirs, tmp_path, share):
    path = saved(tmp_path / "w.pth", theirs)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, tmp_path / "run", "not a plain file of weights")


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}], ids=str)
def test_other_things_than_named_layers(tmp_path, value):
    refused(saved(tmp_path / "w.pth", value), tmp_path / "run", "not a plain file of weights")


def test_other_files(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    refused(tmp_path / "text.pth", tmp_path / "run", "not a plain file of weights")
    refused(tmp_path / "absent.pth", tmp_path / "run", "no such file")
    refused(tmp_path, tmp_path / "run", "no such file")


def test_layers_that_do_not_fit_are_named(theirs, tmp_path):
    first = "encoder.conv.0.0.weight"
    states = {
        "absent": {name: tensor for name, tensor in theirs.items() if name != first},
        "shape": {**theirs, first: torch.zeros(5, 3, 3, 3)},
        "finite": {**theirs, first: theirs[first] * torch.nan},
        "finite numbers": {**theirs, first: theirs[first].int()},
        "not a layer": {**theirs, "zzz": torch.zeros(2)},
    }
    for word, state in states.items():
        with pytest.raises(ScanweaveError, match=word) as told:
            renamed(state, SETTINGS)
        assert told.value.where == ("zzz" if word == "not a layer" else first)
    refused(saved(tmp_path / "w.pth", states["shape"]), tmp_path / "run", first, "has the shape (5, 3, 3, 3)")


def test_a_tensor_that_unfolds_to_terabytes_is_refused(theirs, tmp_path):
    name = "encoder.conv.0.0.weight"
    state = {**theirs, name: torch.zeros(1).expand(2**40)}
    refused(saved(tmp_path / "w.pth", state), tmp_path / "run", "not a plain file of weights")


def test_names_are_told_one_to_one(network, theirs):
    assert len(theirs) == len(network.state_dict())
    for name, tensor in renamed(theirs, SETTINGS).items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_a_folder_that_holds_something_is_left_alone(theirs, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ScanweaveError, match="exists already"):
        import_weights(saved(tmp_path / "w.pth", theirs), out, SETTINGS)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
