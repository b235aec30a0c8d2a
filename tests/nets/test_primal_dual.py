"""Learned primal–dual: begins at the filtered backprojection, uses the measurements, is differentiable."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.nets.primal_dual import LearnedPrimalDual
from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.physics.ct.projector import Projector

GEOMETRY = ParallelGeometry.covering((16, 16), 1.0, even_angles(12))


def _network():
    torch.manual_seed(0)
    return LearnedPrimalDual(Projector(GEOMETRY), GEOMETRY.shape, 2, iterations=2, memory=2, width=6)


def _pair():
    image = torch.rand(3, 2, 16, 16)
    return image, _network().projector.forward(image)


def test_begins_at_the_given_image():
    image, sinogram = _pair()
    assert torch.equal(_network()(image, sinogram), image)


def test_sinogram_tells_the_image():
    image, sinogram = _pair()
    network, sinogram = _network(), sinogram.requires_grad_()
    for block in (*network.dual, *network.primal):
        torch.nn.init.normal_(block[-1].weight)
    (gradient,) = torch.autograd.grad(network(image, sinogram).sum(), sinogram)
    assert (gradient.abs().amax(dim=(2, 3)) > 0).all()


def test_refuses_no_iterations():
    with pytest.raises(ScanweaveError, match="0 iterations"):
        LearnedPrimalDual(Projector(GEOMETRY), GEOMETRY.shape, 2, iterations=0)
