"""A network that memory cannot hold is refused by name before a weight of it is made."""

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from scanweave import api
from scanweave.engine import free_memory
from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError
from scanweave.framework.network_memory import parameter_total, refuse_large_input, refuse_unloadable
from scanweave.framework.network_task import seeded_network
from scanweave.framework.segmentation.network import make_network as make_segment
from scanweave.framework.segmentation.planning import plan_network
from scanweave.nets.encoders import make_encoder
from scanweave.physics.ct.geometry import FanArcGeometry, even_angles
from scanweave.systems.acid.network import make_network as make_acid
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.ultra.reconstruction import Reconstruction

GEOMETRY = FanArcGeometry.covering((16, 12), 1.5, even_angles(6, 360), source=60, detector=40)


def configured(system, **values):
    """Return settings of a system that a user may ask for, each within its bound."""
    return api.configure(system, "small", values)


def _segment(config, times=1):
    plan = plan_network([(64, 64, 64)], (1, 1, 1), config.network)
    plan = plan.model_copy(update={"strides": plan.strides * times, "kernels": plan.kernels * times})
    return make_segment(plan, 2, 3, config.network.first_channels)


def _deep_segment(config):
    """Its channels have a bound that no setting moves; a plan that was changed by hand may have many stages."""
    return _segment(config, 20)


GIANTS = {
    "seq2seq": (
        {"network.channels": [16384] * 3, "network.blocks": 100, "network.rank": 16384, "network.kernel_size": 11},
        lambda config: Seq2SeqNetwork(config.network),
        "network.rank (16384)",
    ),
    "ultra": (
        {"network.width": 16384, "network.levels": 12},
        lambda config: Reconstruction(config.network, (0.0,), (1.0,), GEOMETRY),
        "network.width (16384), network.levels (12)",
    ),
    "acid": (
        {"network.width": 16384, "network.levels": 12},
        lambda config: make_acid(2, config.network),
        "network.width (16384), network.levels (12)",
    ),
    "segment": ({}, _deep_segment, "Choose a smaller network, such as that of --preset small"),
    "classify": (
        {"network.width": 64, "network.encoder": "resnet18"},
        lambda config: make_encoder(config.network.encoder, 1, 3, width=config.network.width),
        "network.width (64.0)",
    ),
}


@pytest.mark.parametrize("system", GIANTS)
def test_settings_that_together_exhaust_memory_are_refused(system, monkeypatch, tmp_path):
    monkeypatch.setattr(free_memory, "free_bytes", lambda device: 2**29)
    values, make, named = GIANTS[system]
    config = configured(system, **values)
    with pytest.raises(ScanweaveError) as caught:
        seeded_network(config, lambda: make(config))
    said = str(caught.value)
    assert said.startswith("network: its ")
    assert f" million parameters, with gradients and the state of {config.training.optimizer}, take " in said
    assert "GiB, where 0.5 GiB of" in said
    assert named in said
    assert "\n" not in said
    with pytest.raises(
        ScanweaveError, match=r"config\.json: its .* parameters take .* GiB, where 0.5 GiB of cpu memory are free"
    ):
        refuse_unloadable(lambda: make(config), tmp_path / "config.json", config)


@pytest.mark.parametrize("system", [name for name in GIANTS if name != "classify"])
def test_parameters_are_counted_as_they_are_made(system):
    config, make = configured(system), _segment if system == "segment" else GIANTS[system][1]
    made = make(config)
    assert parameter_total(lambda: make(config)) == sum(one.numel() for one in made.parameters())


@pytest.mark.parametrize("name", ["plain", "resnet18", "densenet121", "segresnet", "swin", "torchvision/resnet18"])
def test_encoders_can_be_counted(name):
    """Some look into their tensors when they are made, which have no numbers where no memory is taken."""
    dimensions = 2 if "/" in name else 3
    made = make_encoder(name, 1, dimensions)
    assert parameter_total(lambda: make_encoder(name, 1, dimensions)) == sum(one.numel() for one in made.parameters())


class _Config(BaseModel):
    training: TrainingSettings = TrainingSettings(device="cpu")
    width: int = 8


@pytest.mark.parametrize(
    ("training", "numbers"),
    [
        ({}, 4),
        ({"optimizer": "sgd"}, 3),
        ({"optimizer": "sgd", "momentum": 0}, 2),
        ({"optimizer": "adamw", "ema_decay": 0.9}, 5),
    ],
)
def test_memory_is_that_of_weights_gradients_and_optimizer(monkeypatch, training, numbers):
    config = _Config(training=TrainingSettings(device="cpu", **training), width=9)
    for room, refused in ((4 * 9 * numbers, False), (4 * 9 * numbers - 1, True)):
        monkeypatch.setattr(free_memory, "free_bytes", lambda device, room=room: room)
        if refused:
            with pytest.raises(ScanweaveError, match=r"Lower width \(9\)"):
                seeded_network(config, lambda: nn.Linear(9, 1, bias=False))
        else:
            seeded_network(config, lambda: nn.Linear(9, 1, bias=False))


def test_counting_leaves_the_first_weights_and_the_generator_as_they_were():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = seeded_network(_Config(), lambda: nn.Linear(500, 500))
    torch.manual_seed(0)
    two = nn.Linear(500, 500)
    assert torch.equal(one.weight, two.weight)
    torch.random.set_rng_state(before)
    seeded_network(_Config(), lambda: nn.Linear(2, 2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_input_that_no_memory_holds_is_refused():
    with pytest.raises(ScanweaveError, match=r"network\.patch: a batch of 2 with 3 × 9999×9999×9999 voxels each takes"):
        refuse_large_input((9999, 9999, 9999), 3, "network.patch", 2)
    refuse_large_input((9, 9, 9), 3, "network.patch", 2)
