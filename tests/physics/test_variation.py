"""Total variation reconstruction against deepinv's own proximal operator, and what a control must keep."""

import pytest
import torch
from deepinv.models import TVDenoiser
from deepinv.physics import Denoising

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.variation import TotalVariation, operator_norm


@pytest.fixture(scope="module")
def scanned():
    physics = CtPhysics(ParallelGeometry.covering((24, 24), 1.0, even_angles(12)))
    image = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    image[..., 6:18, 8:16] = 0.02
    return physics, image, physics.A(image)


def test_with_the_identity_it_is_the_prox():
    noisy = torch.rand(1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scale = noisy.square().mean().sqrt()
    made = TotalVariation(Denoising(), 0.2, iterations=2000)(noisy)
    wanted = TVDenoiser(tau=0.05, n_it_max=4000, crit=0.0)(noisy, ths=0.2 * float(scale))
    assert torch.allclose(made, wanted, atol=2e-3 * float(noisy.max()))


def test_it_beats_filtered_backprojection_on_few_views_and_scales(scanned):
    physics, image, measurement = scanned
    tv = TotalVariation(physics, 0.001)
    made = tv(measurement)
    assert (made - image).norm() < 0.5 * (physics.A_dagger(measurement) - image).norm()
    assert torch.allclose(tv(50 * measurement), 50 * made, rtol=1e-6, atol=1e-9)


def test_derivative_is_exact(scanned):
    physics, _, measurement = scanned
    tv = TotalVariation(physics, 0.003, iterations=15)
    start = (measurement + 0.01).requires_grad_()
    way = torch.randn(start.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(tv(start).square().sum(), start)
    with torch.no_grad():
        ahead, behind = (tv(start + sign * 1e-8 * way).square().sum() for sign in (1, -1))
    assert float((gradient * way).sum()) == pytest.approx(float(ahead - behind) / 2e-8, rel=1e-4)


def test_norm_is_that_of_the_scanner(scanned):
    physics, image, _ = scanned
    assert operator_norm(physics, image) == pytest.approx(physics.norm, rel=1e-3)


def test_negative_weight_is_refused(scanned):
    with pytest.raises(ScanweaveError, match="TV"):
        TotalVariation(scanned[0], -1.0)
