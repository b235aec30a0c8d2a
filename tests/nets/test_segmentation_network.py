"""Segmentation networks: any size, any encoder, any subset of channels, exactly."""

import pytest
import torch
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.nets.decoders import FeaturePyramid, UNetDecoder
from scanweave.nets.encoders import make_encoder
from scanweave.nets.layers import InstanceNorm2d, InstanceNorm3d
from scanweave.nets.present_stem import PresentStem, present_only
from scanweave.nets.segmentation_network import SegmentationNetwork, plain_unet
from scanweave.nets.sizes import fitted, padded

ANISOTROPIC = {"strides": [1, (1, 2, 2), (2, 2, 2)], "kernels": [(1, 3, 3), 3, 3], "first_channels": 4}
SIZES = {2: (33, 21), 3: (5, 19, 14)}


def small(dimensions, channels=2):
    torch.manual_seed(0)
    strides = ANISOTROPIC if dimensions == 3 else {"strides": [1, 2, 2], "first_channels": 4}
    return plain_unet(channels, 3, dimensions, **strides)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_output_has_the_size_of_its_input(dimensions):
    network, x = small(dimensions), torch.randn(2, 2, *SIZES[dimensions])
    assert network(x).shape == (2, 3, *SIZES[dimensions])
    outputs = network(x, deep=True)
    for made, strides in zip(outputs, network.output_strides, strict=True):
        assert made.shape[2:] == tuple(-(-edge // step) for edge, step in zip(SIZES[dimensions], strides, strict=True))
    assert torch.equal(outputs[0], network(x))


@pytest.mark.parametrize(
    ("name", "dimensions", "options"),
    [
        ("resnet10", 3, {"width": 0.125}),
        ("swin", 3, {"first_channels": 12, "window": 4}),
        ("segresnet", 3, {"first_channels": 8, "blocks": (1, 1, 1)}),
        ("densenet121", 2, {}),
        ("torchvision/convnext_tiny", 2, {}),
    ],
)
def test_decoder_serves_any_encoder(name, dimensions, options):
    torch.manual_seed(0)
    network = SegmentationNetwork(make_encoder(name, 1, dimensions, **options), 1, 2)
    x = torch.randn(2, 1, *(33, 21, 17)[:dimensions])
    outputs = network(x, deep=True)
    assert outputs[0].shape == (2, 2, *x.shape[2:])
    sum(one.square().mean() for one in outputs).backward()
    assert all(weight.grad is not None for name, weight in network.named_parameters() if "relu" not in name)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} <= {"encoder", "stem", "decoder", "head"}


def test_timm_encoder_of_one_stride_can_be_decoded():
    pytest.importorskip("timm")
    encoder = make_encoder("timm/vit_tiny_patch16_224", 1, 2, image_size=32)
    assert SegmentationNetwork(encoder, 1, 2)(torch.randn(1, 1, 32, 32)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("content", [float("nan"), float("inf"), 1e30, -5.0])
def test_absent_channels_reach_no_bit(dimensions, training, content):
    network = small(dimensions, channels=3).train(training)
    x = torch.randn(2, 3, *SIZES[dimensions])
    present = torch.tensor([[True, False, True], [False, True, True]])
    other = torch.where(present.view(2, 3, *[1] * dimensions), x, torch.full_like(x, content))
    results = []
    for one in (x, other):
        network.zero_grad()
        made = network(one, present)
        made.square().mean().backward()
        results.append(
            [made.detach(), *(weight.grad.clone() for weight in network.parameters() if weight.grad is not None)]
        )
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert not torch.equal(network(x, present), network(x))


def test_all_present_is_the_ordinary_network():
    network, x = small(2), torch.randn(2, 2, 16, 16)
    assert torch.equal(network(x, torch.ones(2, 2, dtype=torch.bool)), network(x))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_stem_is_the_sum_of_the_present_channels(dimensions):
    torch.manual_seed(0)
    stem, x = PresentStem(3, 4, dimensions, bias=True).double(), torch.randn(2, 3, *[6] * dimensions).double()
    present = torch.tensor([[True, False, True], [True, True, True]])
    convolve = F.conv2d if dimensions == 2 else F.conv3d
    weight, bias = stem.convolution.weight, stem.convolution.bias.view(1, -1, *[1] * dimensions)
    parts = [convolve(x[:, c : c + 1], weight[:, c : c + 1], padding=1) for c in range(3)]
    made = stem(x, present)
    assert torch.allclose(made[:1], 3 / 2 * (parts[0] + parts[2])[:1] + bias)
    assert torch.equal(made[1:], stem(x)[1:])


def test_absent_inputs_are_refused_where_they_make_no_sense():
    x = torch.randn(2, 2, 4, 4)
    with pytest.raises(ScanweaveError, match="no channel at all"):
        present_only(x, torch.tensor([[True, False], [False, False]]))
    with pytest.raises(ScanweaveError, match="booleans"):
        present_only(x, torch.ones(2, 2))
    with pytest.raises(ScanweaveError, match="booleans"):
        present_only(x, torch.ones(2, 3, dtype=torch.bool))


def test_network_learns():
    torch.manual_seed(0)
    network, x = plain_unet(1, 1, 2, strides=[1, 2], first_channels=4, deep_outputs=0), torch.randn(4, 1, 17, 15)
    truth = (F.avg_pool2d(x, 3, 1, 1) > 0).float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(network(x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize(
    ("ours", "torchs", "size"),
    [
        (InstanceNorm2d, torch.nn.InstanceNorm2d, (7, 9)),
        (InstanceNorm3d, torch.nn.InstanceNorm3d, (4, 5, 6)),
    ],
)
def test_instance_norm_is_torchs(ours, torchs, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64) * 4 + 2
    one, other = ours(3, affine=True).double(), torchs(3, affine=True).double()
    torch.nn.init.normal_(one.weight)
    other.load_state_dict(one.state_dict())
    assert torch.allclose(one(x), other(x), atol=1e-10)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_pyramid_adds_the_coarse_to_the_fine(dimensions):
    torch.manual_seed(0)
    strides = tuple((2**k,) * dimensions for k in range(3))
    pyramid = FeaturePyramid((4, 6, 8), strides, dimensions, width=5)
    features = [torch.randn(1, count, *[edge] * dimensions) for count, edge in zip((4, 6, 8), (13, 7, 4), strict=True)]
    made = pyramid(features)
    assert [tuple(one.shape) for one in made] == [(1, 5, *[edge] * dimensions) for edge in (13, 7, 4)]
    other = pyramid([features[0], features[1], features[2] + 1])
    assert not torch.allclose(made[0], other[0])
    fine = pyramid([features[0] + 1, features[1], features[2]])
    assert torch.equal(made[2], fine[2])


def test_sizes_are_padded_and_cut_at_the_end():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(padded(x, (3, 2))[0, 0], torch.tensor([[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5.0]]))
    assert torch.equal(fitted(padded(x, (3, 2)), (2, 3)), x)
    assert fitted(x, (4, 1)).shape == (1, 1, 4, 1)
    assert padded(torch.rand(1, 1, 3, 4, 5), 4).shape[2:] == (4, 4, 8)


def test_bad_parts_are_refused():
    with pytest.raises(ScanweaveError, match="two features"):
        UNetDecoder((4,), ((1, 1),), 2)
    with pytest.raises(ScanweaveError, match="Give 0 to 1"):
        plain_unet(1, 2, 2, strides=[1, 2, 2], deep_outputs=5)
