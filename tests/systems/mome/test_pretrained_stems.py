"""Tokens of images by the encoder of a pre-training run."""

import numpy as np
import pytest
import torch
from mixed_cohort import TINY

import scanweave as sw
from scanweave.api import open_run
from scanweave.systems.mome.inputs import batch_of

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


def test_what_is_absent_changes_no_bit(mixed, pretrained, tmp_path):
    config = {**TINY, "start": {"source": str(pretrained)}}
    made = sw.fit("mome", mixed, tmp_path / "run", config=config, say=quiet)
    plan, network = made.plan, made.diagnoser.network.eval()
    inputs = [made.input(study) for study in list(mixed)[:3]]
    with torch.no_grad():
        together = network(batch_of(inputs, plan, made.config.input))
        alone = torch.cat([network(batch_of([one], plan, made.config.input)) for one in inputs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


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
