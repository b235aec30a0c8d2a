"""Encoders: every adapter keeps the contract, in both dimensions, at odd sizes."""

import pytest
import torch
from monai.networks.nets import SwinUNETR
from monai.networks.nets import resnet as monai_resnet
from torchvision import models

from scanweave.errors import ScanweaveError
from scanweave.nets.encoder_scales import feature_scales
from scanweave.nets.encoders import Encoder, make_encoder

ENCODERS = [
    ("plain", 2, {"first_channels": 4}),
    ("plain", 3, {"first_channels": 4, "strides": [1, (1, 2, 2), 2], "kernels": [(1, 3, 3), 3, 3]}),
    ("resnet18", 2, {"width": 0.25}),
    ("resnet10", 3, {"width": 0.125}),
    ("resnet50", 3, {"width": 0.125, "norm": "instance"}),
    ("resnet18", 2, {"width": 0.25, "small_images": True}),
    ("densenet121", 2, {}),
    ("densenet121", 3, {"norm": "instance"}),
    ("segresnet", 2, {"first_channels": 8}),
    ("segresnet", 3, {"first_channels": 8, "blocks": (1, 1, 1)}),
    ("swin", 2, {"first_channels": 12, "window": 4}),
    ("swin", 3, {"first_channels": 12, "window": 4, "version_2": True}),
    ("torchvision/resnet18", 2, {}),
    ("torchvision/densenet121", 2, {}),
    ("torchvision/efficientnet_b0", 2, {}),
    ("torchvision/mobilenet_v3_large", 2, {}),
    ("torchvision/convnext_tiny", 2, {}),
]
TIMM = [
    ("timm/resnet18", 2, {}),
    ("timm/efficientnet_b0", 2, {}),
    ("timm/swin_tiny_patch4_window7_224", 2, {"image_size": 64}),
    ("timm/vit_tiny_patch16_224", 2, {"image_size": 64}),
]


def check_contract(name, dimensions, options):
    torch.manual_seed(0)
    encoder = make_encoder(name, 2, dimensions, **options).eval()
    assert isinstance(encoder, Encoder)
    assert encoder.dimensions == dimensions
    assert len(encoder.channels) == len(encoder.strides) > 1
    assert list(encoder.strides) == sorted(encoder.strides)
    coarsest = encoder.strides[-1]
    size = [64] * 2 if "image_size" in options else [2 * stride for stride in coarsest]
    x = torch.randn(2, 2, *size, requires_grad=True)
    features = encoder(x)
    for feature, channels, strides in zip(features, encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (2, channels, *(edge // stride for edge, stride in zip(size, strides, strict=True)))
        assert torch.isfinite(feature).all()
    sum(feature.sum() for feature in features).backward()
    assert x.grad.abs().sum() > 0
    return encoder


@pytest.mark.parametrize(("name", "dimensions", "options"), ENCODERS)
def test_adapters_keep_the_contract(name, dimensions, options):
    encoder = check_contract(name, dimensions, options)
    odd = [2 * stride + 3 for stride in encoder.strides[-1]]
    with torch.no_grad():
        assert len(encoder(torch.randn(1, 2, *odd))) == len(encoder.channels)


@pytest.mark.parametrize(("name", "dimensions", "options"), TIMM)
def test_timm_keeps_the_contract(name, dimensions, options):
    pytest.importorskip("timm")
    check_contract(name, dimensions, options)


@pytest.mark.parametrize(
    ("name", "dimensions", "options", "words"),
    [
        ("resnet17", 2, {}, "Choose from resnet1"),
        ("nonsense!", 2, {}, "torchvision/NAME"),
        ("torchvision/resnet19", 2, {}, "none of this name"),
        ("torchvision/resnet18", 3, {}, "2 dimensions"),
        ("keras/resnet18", 2, {}, "none of this name"),
        ("resnet18", 4, {}, "4 dimensions"),
        ("resnet18", 2, {"depth": 3}, "no option depth"),
        ("resnet18", 2, {"norm": "layer"}, "batch or instance"),
        ("resnet18", 0, {}, "0 dimensions"),
        ("plain", 3, {"strides": [1, 2], "kernels": [3]}, "every stage"),
        ("plain", 3, {"strides": [1, (2, 2)]}, "3 axes"),
        ("plain", 3, {"strides": [1, 2], "kernels": 4}, "even"),
    ],
)
def test_wrong_names_and_options_are_one_line(name, dimensions, options, words):
    with pytest.raises(ScanweaveError, match=words) as caught:
        make_encoder(name, 1, dimensions, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("timm/resnet1234", {}, "none of this name"),
        ("timm/resnet18", {"image_size": 64}, "cannot make it"),
        ("timm/vit_tiny_patch16_224", {}, "Give image_size"),
    ],
)
def test_what_timm_refuses_is_one_line(name, options, words):
    pytest.importorskip("timm")
    with pytest.raises(ScanweaveError, match=words) as caught:
        make_encoder(name, 1, 2, **options)
    assert "\n" not in str(caught.value)


def test_library_weights_fit_by_name():
    pairs = [
        (make_encoder("torchvision/resnet18", 3, 2), models.resnet18(weights=None), ""),
        (make_encoder("resnet18", 1, 3), monai_resnet.resnet18(spatial_dims=3, n_input_channels=1), ""),
        (make_encoder("swin", 1, 3, first_channels=24), SwinUNETR(in_channels=1, out_channels=2, feature_size=24), ""),
    ]
    for encoder, network, prefix in pairs:
        theirs = {f"{prefix}{name}": value.shape for name, value in network.state_dict().items()}
        ours = {name: value.shape for name, value in encoder.state_dict().items()}
        assert {name: theirs.get(name) for name in ours} == ours


def test_torchvision_features_are_those_of_the_classifier():
    torch.manual_seed(0)
    network = models.densenet121(weights=None).eval()
    encoder = make_encoder("torchvision/densenet121", 3, 2).eval()
    encoder.load_state_dict(
        {name.removeprefix("features."): value for name, value in network.state_dict().items()}, strict=False
    )
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(encoder(x)[-1], torch.relu(network.features(x)), atol=1e-5)


def test_scales_are_found_without_touching_the_encoder():
    encoder = make_encoder("resnet10", 1, 2, width=0.125)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    generator = torch.get_rng_state()
    assert feature_scales(encoder, 1, 2) == (encoder.channels, encoder.strides)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
