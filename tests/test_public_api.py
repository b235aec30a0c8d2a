import subprocess
import sys

import pytest

import scanweave
from scanweave import api
from scanweave.errors import ScanweaveError
from scanweave.systems import registry
from scanweave.systems.seq2seq.config import PAPER, PRESETS, SMALL


def test_import_costs_nothing():
    code = "import sys, scanweave; print(sorted(sys.modules.keys() & {'torch', 'numpy', 'pandas', 'pydantic'}))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", [name for name in scanweave.__all__ if name != "__version__"])
def test_every_public_name_resolves(name):
    found = getattr(scanweave, name)
    assert found.__name__ == name
    assert name in dir(scanweave)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        scanweave.fitt  # noqa: B018


def test_registry_agrees_with_the_systems():
    for entry in scanweave.list_systems():
        system = entry.load()
        assert all(entry.preset(name).preset == name for name in entry.presets)
        assert {"fit", "open", "predict"} <= set(dir(system))
    assert set(registry.entry("seq2seq").presets) == set(PRESETS)


def test_plans_of_all_systems_load_without_torch():
    code = "\n".join(
        [
            "import sys",
            "from importlib import import_module",
            "from scanweave.systems.registry import systems",
            "for entry in systems().values():",
            "    module, _, name = entry.plan_class.partition(':')",
            "    plan = getattr(import_module(module), name)",
            "    assert {'load', 'targets', 'sources'} <= set(dir(plan)), name",
            "assert 'torch' not in sys.modules",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_are_laid_over_the_preset_in_order(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("[training]\nsteps = 900\nseed = 3\n[network]\nchannels = [4, 8]\n")
    found = api.configure("seq2seq", None, [file, {"training.steps": 800}])
    assert (found.training.steps, found.training.seed, found.network.channels) == (800, 3, (4, 8))
    assert found.training.learning_rate == SMALL.training.learning_rate
    assert api.configure("seq2seq", "paper") == PAPER


def test_file_may_name_its_preset_and_the_caller_overrules(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('preset = "paper"\n')
    assert api.configure("seq2seq", None, file) == PAPER
    assert api.configure("seq2seq", "small", file) == SMALL


def test_a_whole_config_can_be_given():
    changed = SMALL.model_copy(update={"sequences": ("t1", "t2")})
    assert api.configure("seq2seq", None, changed) == changed


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"training.stepz": 3}, "training.stepz: there is no such setting. Did you mean training.steps"),
        ({"trainin": {"steps": 3}}, "trainin.steps: there is no such setting. Did you mean training.steps?"),
        ({"steps": 3}, "steps: there is no such setting. Did you mean training.steps?"),
        ({"trainin": 3}, "trainin: there is no such setting. Did you mean training"),
        ({"training": {"steps": -3}}, "training.steps: Input should be greater than 0, not -3."),
        ({"training": 3}, "training: Input should be a valid dictionary"),
        ({"training.final_learning_rate": 1}, "training: final_learning_rate exceeds learning_rate"),
        ({"network.kernel_size": 4}, "network.kernel_size: Input should be 1, 3, 5, 7, 9 or 11, not 4"),
        ({"network.channels": [8, 8], "sampling.crop": [9, 8]}, "settings: sampling.crop and depth must be divisible"),
        ({"sampling.crop": [0, 96]}, "sampling.crop.0: Input should be greater than 0, not 0"),
        ({"preset": "large"}, "preset: seq2seq has no preset 'large'. Choose one of small, paper, best."),
    ],
)
def test_refused_setting_is_named(config, words):
    with pytest.raises(ScanweaveError) as caught:
        api.configure("seq2seq", None, config)
    assert str(caught.value).startswith(words)
    assert (
        caught.value.__context__ is None or caught.value.__suppress_context__
    )  # no traceback of pydantic's in a notebook
