"""FBPConvNet: residual, any size, homogeneous without biases."""

import pytest
import torch
from float_bounds import EQUAL_IN_FLOAT64

from scanweave.errors import ScanweaveError
from scanweave.nets.fbpconvnet import FbpConvNet


def test_training_begins_at_the_input():
    x = torch.randn(2, 3, 24, 20)
    assert torch.equal(FbpConvNet(3, 3, width=4)(x), x)


def _trained(**options):
    torch.manual_seed(0)
    network = FbpConvNet(2, 1, width=4, levels=3, **options)
    torch.nn.init.normal_(network.last.weight)
    return network


def test_maps_any_size_and_adds_the_first_channels():
    assert _trained()(torch.randn(1, 2, 19, 33)).shape == (1, 1, 19, 33)


def test_is_homogeneous_without_biases():
    network, x = _trained(bias=False).double(), torch.randn(1, 2, 16, 16).double()
    torch.testing.assert_close(network(1e-3 * x), 1e-3 * network(x), rtol=0, atol=1e-3 * EQUAL_IN_FLOAT64)


def test_refuses_more_channels_out_than_in():
    with pytest.raises(ScanweaveError, match="channels in"):
        FbpConvNet(1, 2)
