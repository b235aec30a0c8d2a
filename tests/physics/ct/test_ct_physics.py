import pytest
import torch

from scanweave.errors import ScanweaveError

pytest.importorskip("deepinv")

from deepinv.optim import FISTA, L2, TVPrior

from scanweave.physics.ct.operators import CtPhysics


@pytest.fixture
def physics(scans):
    return CtPhysics(scans((32, 32), 1.0, 40)["fan-flat"])


@pytest.fixture
def image():
    picture = torch.zeros(1, 2, 32, 32)
    picture[:, 0, 8:20, 10:24] = 0.02
    picture[:, 1, 14:18, 12:20] = 0.05
    return picture


def test_deepinv_finds_its_adjoint_exact(physics, image):
    assert physics.adjointness_test(image.double()) <= 1e-11  # of products of about 1e2


def test_norm_is_the_largest_singular_value(physics):
    expected = physics.compute_sqnorm(torch.rand(1, 32, 32), tol=1e-5, verbose=False).sqrt()
    assert physics.norm == pytest.approx(float(expected), rel=1e-3)


def test_inverse_is_filtered_backprojection_or_least_squares(scans, image):
    geometry = scans((32, 32), 1.0, 60)["fan-flat"]
    fbp, cg = CtPhysics(geometry, window="hann"), CtPhysics(geometry, dagger="cg", max_iter=100, tol=1e-6)
    sinogram = fbp(image)
    torch.testing.assert_close(fbp.A_dagger(sinogram), fbp.fbp(sinogram))
    relative = [(one.A_dagger(sinogram) - image).norm() / image.norm() for one in (fbp, cg)]
    assert relative[1] < 0.05 < relative[0] < 0.5


def test_a_solver_of_deepinv_reconstructs(physics, image):
    sinogram = physics(image)
    noise = torch.randn(sinogram.shape, generator=torch.Generator().manual_seed(0))
    sinogram = sinogram + 0.02 * sinogram.max() * noise
    start = physics.A_dagger(sinogram)
    solver = FISTA(
        data_fidelity=L2(), prior=TVPrior(n_it_max=20), stepsize=physics.norm**-2, lambda_reg=0.3, max_iter=60
    )
    found = solver(sinogram, physics, init=(start, start))
    assert (found - image).norm() < 0.75 * (start - image).norm()


def test_proximal_step_is_differentiable(physics, image):
    sinogram = physics(image).requires_grad_()
    physics.prox_l2(torch.zeros_like(image), sinogram, gamma=1e-3).sum().backward()
    assert torch.isfinite(sinogram.grad).all()
    assert sinogram.grad.abs().max() > 0


def test_bad_input_is_told(scans, physics):
    with pytest.raises(ScanweaveError, match="dagger"):
        CtPhysics(scans((8, 8), 1.0, 4)["parallel"], dagger="svd")
    with pytest.raises(ScanweaveError, match="image: shape"):
        physics(torch.zeros(1, 1, 32, 31))
