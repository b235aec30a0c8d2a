"""Tokens of images by the encoder of a pre-training run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mixed_cohort import TINY

import scanweave as sw
from scanweave.api import open_run
from scanweave.nets.encoder_scales import feature_grids
from scanweave.nets.encoders import make_encoder
from scanweave.systems.mome.inputs import batch_of
from scanweave.systems.mome.network import _level

FEW = {"steps": 2, "batch_size": 2, "warm_up": 0, "validate_every": 1, "workers": 0, "device": "cpu", "ema_decay": None}
MIM = {
    "levels": {"extent": 8, "view": 8, "units": [1], "ratios": [0.5], "children": []},
    "network": {
        "widths": [4, 8],
        "depths": [1, 1],
        "heads": 2,
        "decoder_width": 12,
        "decoder_layers": 1,
        "decoder_heads": 2,
    },
    "loss": {"reconstruction": [1.0], "alignment": []},
    "training": FEW,
}


def quiet(line):
    """Say nothing."""


@pytest.fixture(scope="module")
def volumes(mixed):
    """The names of the volumes of the mixed cohort."""
    study = mixed[mixed.studies[0]]
    return [name for name in mixed.names("scan") if name in study.scans and 1 not in study.scans[name].geometry.shape]


@pytest.fixture(scope="module")
def pretrained(mixed, volumes, tmp_path_factory):
    run = tmp_path_factory.mktemp("mim") / "run"
    sw.fit("mim", mixed, run, config={**MIM, "scans": volumes[:1]}, say=quiet)
    return run


def test_stems_begin_from_the_encoder_of_a_run(mixed, pretrained, volumes, tmp_path):
    said = []
    config = {**TINY, "start": {"source": str(pretrained)}}
    made = sw.fit("mome", mixed, tmp_path / "run", config=config, say=said.append)
    assert any(line.startswith("start weights: ") and " 100.0 % of encoders " in line for line in said)
    assert any(line.startswith("tokens of ") and "the encoder of the pre-training run, hybrid" in line for line in said)
    network = made.diagnoser.network
    assert 0 < len(network.encoders) < len(network.stems)  # a film has a stem of its own
    again = open_run(tmp_path / "run", "cpu")
    study = mixed[mixed.studies[0]]
    np.testing.assert_array_equal(again.probabilities(study), made.probabilities(study))


def test_what_others_show_changes_no_bit(mixed, pretrained, tmp_path):
    """A batch of norms that learn would mix its samples; the answer of one must not know what another shows."""
    made = sw.fit("mome", mixed, tmp_path / "run", config={**TINY, "start": {"source": str(pretrained)}}, say=quiet)
    plan, network = made.plan, made.diagnoser.network
    for layer in network.encoders.values():
        layer.add_module("more", torch.nn.BatchNorm3d(2))
    network.train()
    assert not any(layer.more.training for layer in network.encoders.values())
    network.eval()
    inputs = [made.input(study) for study in list(mixed)[:3]]
    other = replace(inputs[2], images={name: 1e3 * torch.randn_like(one) for name, one in inputs[2].images.items()})
    with torch.no_grad():
        first, second = (network(batch_of([*inputs[:2], last], plan, made.config.input)) for last in (inputs[2], other))
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2], second[2])


def test_tokens_are_places_of_a_feature_that_is_fine_enough():
    for name, size in (("resnet10", (32, 32, 32)), ("densenet121", (47, 47))):
        encoder = make_encoder(name, 1, len(size))
        grids = feature_grids(encoder, 1, size)
        with torch.no_grad():
            assert grids == tuple(tuple(one.shape[2:]) for one in encoder.eval()(torch.zeros(1, 1, *size)))
        level = _level(encoder, 8)
        assert max(encoder.strides[level]) <= 8
        assert level == len(encoder.strides) - 1 or max(encoder.strides[level + 1]) > 8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"network": {**TINY["network"], "backbone": "frozen"}}, "backbone frozen.*brings an encoder alone"),
        ({"input": {"fit": "paste"}}, "input.fit paste.*sees whole inputs"),
    ],
)
def test_settings_that_an_encoder_cannot_keep_are_refused(mixed, pretrained, tmp_path, more, words):
    with pytest.raises(sw.ScanweaveError, match=words):
        sw.fit(
            "mome", mixed, tmp_path / "run", config={**TINY, "start": {"source": str(pretrained)}, **more}, say=quiet
        )
    assert not (tmp_path / "run").exists()
