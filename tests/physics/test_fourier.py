import numpy as np
import pytest
import torch

from scanweave.errors import ScanweaveError

pytest.importorskip("deepinv")

from scanweave.physics.fourier import FourierPhysics, cartesian_mask, radial_mask


def complex_noise(*shape, seed=0):
    return torch.randn(1, 2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masks():
    rng = np.random.default_rng(0)
    return {
        "cartesian": cartesian_mask((32, 40), acceleration=4, central_lines=4, rng=rng),
        "radial": radial_mask((32, 40), spokes=12),
    }


@pytest.mark.parametrize("name", ["cartesian", "radial"])
def test_adjoint_and_unit_norm(name):
    physics = FourierPhysics(masks()[name])
    image, kspace = complex_noise(32, 40), complex_noise(32, 40, seed=1)
    forward, adjoint = physics.A(image), physics.A_adjoint(kspace)
    torch.testing.assert_close((forward * kspace).sum(), (image * adjoint).sum())
    assert float(physics.compute_sqnorm(complex_noise(32, 40), verbose=False)) == pytest.approx(1, rel=1e-3)
    torch.testing.assert_close(physics.A_dagger(forward), physics.A_adjoint(forward))


def test_it_is_the_masked_fourier_transform():
    mask = masks()["cartesian"]
    image = complex_noise(32, 40)
    plane = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(torch.complex(image[0, 0], image[0, 1]).numpy()), norm="ortho")
    )
    found = FourierPhysics(mask).A(image)
    np.testing.assert_allclose(torch.complex(found[0, 0], found[0, 1]).numpy(), plane * mask.numpy(), atol=1e-12)


@pytest.mark.parametrize("acceleration", [2, 4, 8])
def test_cartesian_lines_are_as_many_as_asked(acceleration):
    mask = cartesian_mask((16, 100), acceleration=acceleration, central_lines=8, rng=np.random.default_rng(1))
    assert (mask == mask[:1]).all()
    assert mask[0].sum() == round(100 / acceleration)
    assert mask[0, 46:54].all()  # the zero frequency is column 50
    other = cartesian_mask((16, 100), acceleration=acceleration, central_lines=8, rng=np.random.default_rng(2))
    assert acceleration == 8 or not torch.equal(mask, other)


def test_radial_spokes_pass_through_the_centre():
    few, many = radial_mask((64, 64), spokes=2), radial_mask((64, 64), spokes=30)
    assert few[32].all()
    assert few[:, 32].all()
    assert few.sum() == 127
    assert many[32, 32] == 1
    assert 0.25 < many.mean() < 0.5
    assert not torch.equal(many, radial_mask((64, 64), spokes=30, golden=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: cartesian_mask((8, 8), acceleration=0.5, central_lines=1, rng=np.random.default_rng(0)),
        lambda: cartesian_mask((8, 8), acceleration=4, central_lines=3, rng=np.random.default_rng(0)),
        lambda: radial_mask((8, 8), spokes=0),
        lambda: FourierPhysics(torch.zeros(8, 8)),
        lambda: FourierPhysics(torch.full((8, 8), 0.5)),
        lambda: FourierPhysics(torch.ones(8, 8)).A(torch.zeros(1, 1, 8, 8)),
        lambda: FourierPhysics(torch.ones(8, 8)).A(torch.full((1, 2, 8, 8), torch.nan)),
    ],
)
def test_bad_input_is_told_in_one_line(make):
    with pytest.raises(ScanweaveError) as caught:
        make()
    assert "\n" not in str(caught.value)
