"""Settings and options that nothing would read are refused by name, with the reason."""

import pytest

from scanweave import api
from scanweave.errors import ScanweaveError
from scanweave.framework.options import chosen_options
from scanweave.framework.setting_layers import nested, overlaid, without_effect
from scanweave.systems.registry import OURS

IDLE = [
    (
        "seq2seq",
        {"network.dimensions": 3, "network.slices": 5},
        "network.slices: has no effect with network.dimensions 3",
    ),
    ("seq2seq", {"sampling.depth": 16}, "sampling.depth: has no effect with network.dimensions 2"),
    ("seq2seq", {"objective.perceptual": 0.1}, "objective.perceptual: has no effect without objective.vgg_weights"),
    ("seq2seq", {"objective.vgg_weights": "vgg"}, "objective.vgg_weights: has no effect without objective.perceptual"),
    ("seq2seq", {"training.momentum": 0.9}, "training.momentum: has no effect with training.optimizer adam"),
    ("seq2seq", {"training.optimizer": "sgd", "training.betas": [0.8, 0.9]}, "training.betas: has no effect"),
    ("seq2seq", {"training.poly_power": 2}, "training.poly_power: has no effect with training.schedule cosine"),
    ("seq2seq", {"training.worker_timeout": 9}, "training.worker_timeout: has no effect without training.workers"),
    ("seq2seq", {"preparation": {"crop": False, "margin": 9}}, "preparation.margin: has no effect without"),
    ("segment", {"training.batch_size": 4}, "training.batch_size: has no effect here: network.batch_voxels"),
    (
        "segment",
        {"network.patch": [9, 9, 9], "network.padded": True},
        "network.padded: has no effect with network.patch",
    ),
    ("segment", {"sampling.mirror": "none", "inference.mirror": True}, "inference.mirror: has no effect with sampling"),
    ("segment", {"augmentation.shift": 0.1}, "augmentation.shift: has no effect without shift_share"),
    (
        "segment",
        {"sampling.rotate": False, "augmentation.noise": 1},
        "augmentation.noise: has no effect without sampling",
    ),
    (
        "classify",
        {"network.encoder": "densenet121", "network.width": 2},
        "network.width: has no effect with network.enc",
    ),
    ("classify", {"start.prefix": ""}, "start.prefix: has no effect without start.source (--from)"),
    ("classify", {"sampling.augment": False, "sampling.mirror": False}, "sampling.mirror: has no effect without"),
    ("ultra", {"network.iterations": 3}, "network.iterations: has no effect with network.architecture ultra"),
    (
        "ultra",
        {"network.architecture": "lpd", "sampling.crop": [8, 8]},
        "sampling.crop: has no effect with network.arch",
    ),
    ("ultra", {"objective.tv": 0, "objective.spectral": 1}, "objective.spectral: has no effect without objective.tv"),
    ("acid", {"loop.step": 0.5}, "loop.step: has no effect beside tuning.steps, of which the best is taken"),
    (
        "acid",
        {"loop.sparsifier": "none", "tuning.thresholds": [0.1]},
        "tuning.thresholds: has no effect with loop.spars",
    ),
    (
        "adamedgraph",
        {"boosting": {"graphs": "none", "levels": [0.5]}},
        "boosting.levels: has no effect with boosting.gr",
    ),
    ("acid", {"loop.feedback": "dagger", "loop.safeguard": False}, "loop.safeguard: has no effect with loop.feedback"),
    ("seq2seq", {"start.part": "encoder"}, "start.part: has no effect without start.source (--from)"),
    ("segment", {"start.source": "x", "start.part": "", "start.prefix": "e."}, "start.prefix: has no effect without"),
    (
        "seq2seq",
        {"training.decay_norms_and_biases": False},
        "training.decay_norms_and_biases: has no effect without training.weight_decay",
    ),
    (
        "seq2seq",
        {"objective": {"cross": 0, "identity": 0, "cycle": 0, "structural": 1, "beta": 2}},
        "objective.beta: has no effect without objective.cross",
    ),
    (
        "adamedgraph",
        {"boosting.graphs": "none", "boosting.finalists": 3},
        "boosting.finalists: has no effect with boosting.gr",
    ),
    (
        "adamedgraph",
        {"boosting.validation_fraction": 0, "boosting.patience": 3},
        "boosting.patience: has no effect without boosting.val",
    ),
    ("adamedgraph", {"course.spread": 2}, "course.spread: has no effect without course.of"),
    ("adamedgraph", {"course": {"of": "x", "low": 1}}, "course.low: has no effect with course.rule controls"),
    ("adamedgraph", {"course.of": "x", "label": "y"}, "label: has no effect with course.of"),
]


@pytest.mark.parametrize(("system", "config", "words"), IDLE)
def test_a_setting_without_effect_is_refused(system, config, words):
    with pytest.raises(ScanweaveError) as caught:
        api.configure(system, None, config)
    assert str(caught.value).startswith(words)
    assert str(caught.value).endswith("Leave it out.")


def test_a_file_of_settings_is_named_with_what_has_no_effect(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("[training]\nworkers = 0\nworker_timeout = 9\n")
    with pytest.raises(ScanweaveError, match=r"settings\.toml: training\.worker_timeout: has no effect"):
        api.configure("seq2seq", None, file)
    assert api.configure("seq2seq", None, [file, {"training.workers": 1}]).training.worker_timeout == 9


@pytest.mark.parametrize("system", list(OURS))
def test_what_has_no_effect_is_a_setting(system):
    """Also in the presets, whose own values are no fault of the user's."""
    ways = [config for name, config, _ in IDLE if name == system]
    presets = [OURS[system].preset(name) for name in OURS[system].presets]
    for settings in [*presets, *(overlaid(presets[0], nested(way), "", "") for way in ways)]:
        for name in without_effect(settings):
            value = settings
            for part in name.split("."):
                value = getattr(value, part)


def test_an_option_without_effect_is_refused():
    options = OURS["classify"].options("explain")
    with pytest.raises(ScanweaveError, match="window: has no effect with method gradcam"):
        chosen_options(options, {"window": 4}, "explain")
    assert chosen_options(options, {"window": 4, "method": "occlusion"}, "explain").window == 4
