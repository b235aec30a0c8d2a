"""The ULTRA network and its controls: start at the input, any size, parts that can be left out."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.nets.sizes import parameter_count
from scanweave.systems.ultra.config import NetworkSettings
from scanweave.systems.ultra.network import UltraNet
from scanweave.systems.ultra.reconstruction import Reconstruction, equal_width

SMALL = NetworkSettings(width=6, levels=3)


def _with(**fields):
    return SMALL.model_copy(update=fields)


def _reconstruction(**fields):
    torch.manual_seed(0)
    return Reconstruction(_with(**fields), [0.02, 0.01], [0.02, 0.03])


@pytest.mark.parametrize("kind", ["ultra", "fbpconvnet", "fbpconvnet-per-bin", "red-cnn"])
def test_training_begins_at_the_input(kind):
    x = torch.rand(2, 2, 18, 25)
    torch.testing.assert_close(_reconstruction(architecture=kind)(x), x)


@pytest.mark.parametrize("part", ["multibranch", "dense", "residual"])
def test_parts_can_be_left_out(part):
    network = UltraNet(3, _with(**{part: False}))
    assert network(torch.rand(1, 3, 17, 21)).shape == (1, 3, 17, 21)
    assert parameter_count(network) < parameter_count(UltraNet(3, SMALL)) or part == "residual"


def test_bins_are_joined_only_where_they_shall_be():
    x = torch.rand(1, 2, 16, 16)
    for kind, joined in (("ultra", True), ("fbpconvnet-per-bin", False)):
        network = _reconstruction(architecture=kind)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        changed = x.clone()
        changed[:, 1] += 0.1
        same = torch.equal(network(x)[:, 0], network(changed)[:, 0])
        assert same is not joined


def test_normalisation_travels_with_the_weights():
    one, other = _reconstruction(), Reconstruction(SMALL, [0.0, 0.0], [1.0, 1.0])
    other.load_state_dict(one.state_dict())
    image = torch.full((2, 4, 4), 0.04)
    torch.testing.assert_close(other.normalised(image), one.normalised(image))


def test_equal_width_comes_near():
    goal = parameter_count(UltraNet(5, NetworkSettings(width=12, levels=3)))
    for kind in ("fbpconvnet", "fbpconvnet-per-bin"):
        width = equal_width(_with(architecture=kind), 5, goal)
        found = parameter_count(Reconstruction(_with(architecture=kind, width=width), [0.0] * 5, [1.0] * 5).body)
        assert found == pytest.approx(goal, rel=0.2)


def test_primal_dual_wants_a_geometry():
    with pytest.raises(ScanweaveError, match="geometry"):
        _reconstruction(architecture="lpd")
