"""Classification networks and heads: shapes, absence, pooling, projections."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.nets.encoders import make_encoder
from scanweave.nets.heads import ClassificationHead, ProjectionHead, SegmentationHead


@pytest.mark.parametrize(("dimensions", "size"), [(2, (28, 28)), (3, (17, 20, 13))])
def test_logits_and_embeddings(dimensions, size):
    torch.manual_seed(0)
    encoder = make_encoder("resnet10", 2, dimensions, width=0.125, small_images=True)
    network, x = ClassificationNetwork(encoder, 4, dropout=0.5).eval(), torch.randn(3, 2, *size)
    assert network(x).shape == (3, 4)
    assert network.embed(x).shape == (3, encoder.channels[-1])
    assert torch.allclose(network.head.linear(network.embed(x)), network(x))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "torchvision/efficientnet_b0", "segresnet", "swin"])
def test_absent_channels_reach_no_bit(name):
    torch.manual_seed(0)
    network = ClassificationNetwork(make_encoder(name, 2, 2), 1).eval()
    x, present = torch.randn(2, 2, 64, 64), torch.tensor([[True, False], [False, True]])
    other = torch.where(present[:, :, None, None], x, torch.full_like(x, float("nan")))
    with torch.no_grad():
        assert torch.equal(network(x, present), network(other, present))


def test_views_are_averaged_over_those_present():
    torch.manual_seed(0)
    network = ClassificationNetwork(make_encoder("resnet10", 1, 2, width=0.125), 3, views=True).eval()
    x = torch.randn(3, 2, 32, 32)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    x[~present] = float("nan")
    with torch.no_grad():
        found = network.embed(x, present)
        alone = [network.embed(view[None, None]) for view in (x[0, 0], x[0, 1], x[1, 0], x[2, 1])]
        torch.testing.assert_close(found[0], (alone[0] + alone[1])[0] / 2)
        torch.testing.assert_close(found[1:], torch.cat(alone[2:]))
        torch.testing.assert_close(network(x, present), network.head.linear(found))
    with pytest.raises(ScanweaveError, match="a sample has no view at all"):
        network(x, torch.zeros(3, 2, dtype=torch.bool))


def test_pooling():
    feature = torch.tensor([[[[1.0, 3.0]], [[-2.0, 0.0]]]])
    pooled = {
        kind: ClassificationHead(2, 1, pooling=kind).pool(feature)[0].tolist() for kind in ("mean", "max", "both")
    }
    assert pooled == {"mean": [2, -1], "max": [3, 0], "both": [2, -1, 3, 0]}


def test_dropout_is_for_training_only():
    torch.manual_seed(0)
    head, feature = ClassificationHead(64, 1, dropout=0.5), torch.randn(1, 64, 2, 2)
    assert not torch.equal(head(feature), head(feature))
    head.eval()
    assert torch.equal(head(feature), head(feature))


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_projections_have_unit_length(norm):
    torch.manual_seed(0)
    head = ProjectionHead(6, 4, width=8, layers=3, norm=norm)
    x = torch.randn(5, 6)
    assert torch.allclose(head(x).norm(dim=1), torch.ones(5))
    alone = head(x[:2])
    assert torch.allclose(alone, head(x)[:2], atol=1e-6) == (norm != "batch")
    assert not torch.allclose(ProjectionHead(6, 4, unit_length=False)(x).norm(dim=1), torch.ones(5))


def test_bad_heads_are_refused():
    for make in (
        lambda: ClassificationHead(4, 0),
        lambda: ClassificationHead(4, 1, dropout=1.0),
        lambda: ClassificationHead(4, 1, pooling="median"),
        lambda: SegmentationHead(2, 4, 0),
        lambda: ProjectionHead(4, 2, layers=0),
    ):
        with pytest.raises(ScanweaveError):
            make()
