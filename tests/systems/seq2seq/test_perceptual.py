"""Perceptual distances from local weights: here random ones, since the published are not shipped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torchvision.models import vgg19

from scanweave.errors import ScanweaveError
from scanweave.systems.seq2seq import perceptual_quality
from scanweave.systems.seq2seq.perceptual import PerceptualDistance


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of VGG-19 with random features; the classifier, which plays no part, is zeros."""
    draw = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg19(weights=None).state_dict().items()}
    tensors = {
        name: torch.randn(shape, generator=draw) / shape[1:].numel() ** 0.5
        if name.startswith("features")
        else torch.zeros(shape, dtype=torch.float32)
        for name, shape in shapes.items()
    }
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_file(tensors, path)
    return path, tensors


def test_distance_is_the_sum_over_the_relus_of_the_first_30_layers(weights):
    path, tensors = weights
    draw = torch.Generator().manual_seed(1)
    made, real = (torch.rand(1, 1, 2, 32, 32, generator=draw).double() * 2 - 1 for _ in range(2))
    mean, std = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()
    tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def features(x):
        images = torch.stack([x[0, 0, slice_] for slice_ in range(2) for _ in range(3)]).view(2, 3, 32, 32)
        x = ((images + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        layer, found = 0, []
        for width in (2, 2, 4, 4, 1):  # convolutions before each pool; conv5_1 is the last
            for _ in range(width):
                name = f"features.{layer}"
                x = F.relu(F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1))
                found.append(x)
                layer += 2
            x, layer = F.avg_pool2d(x, 2), layer + 1
        return found

    pairs = list(zip(features(made), features(real), strict=True))
    assert len(pairs) == 13
    expected = sum(F.mse_loss(a, b) for a, b in pairs)
    distance = PerceptualDistance(path).double()
    torch.testing.assert_close(distance(made, real), expected, rtol=1e-9, atol=0)
    assert distance(real, real) == 0


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ScanweaveError, match="not VGG-19 weights"):
        PerceptualDistance(path)


def test_regions_of_lpips(monkeypatch, tmp_path):
    """The box and the brain are cut out, small slices are widened by background, what is outside is black in both."""
    seen = []

    def mean_difference(prediction, reference, limits, *files):
        seen.append((prediction.shape, limits, files))
        return float(np.abs(prediction - reference).sum())

    monkeypatch.setattr(perceptual_quality, "lpips", mean_difference)
    real = np.ones((20, 90, 6), np.float32)
    brain = np.zeros(real.shape, dtype=bool)
    brain[4:10, 4:84, 1:5] = True
    brain[4, 4, 1] = False
    made = real.copy()
    made[0, 0, 0] += 8  # outside the box
    made[4, 4, 1] += 4  # in the box, not in the brain
    made[5, 5, 2] += 2
    found = perceptual_quality.region_lpips(made, real, brain, (0.0, 5.0), (tmp_path / "a", tmp_path / "b"))
    assert found == {"brain": 2, "box": 6, "volume": 14}
    assert [shape for shape, _, _ in seen] == [(64, 80, 4), (64, 80, 4), (64, 90, 6)]
    assert {limits for _, limits, _ in seen} == {(0.0, 5.0)}
