"""Sparsifiers against their formulas."""

import math

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.systems.acid.sparsifiers import Haar, TvPseudoInverse, make_sparsifier, prox_tv


def threshold(value, count=1):
    return torch.full((count, 1, 1, 1), value, dtype=torch.float64)


def image_of(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def pseudo_inverse_by_loops(f, omega):
    """Yu and Wang's filter, pixel by pixel, in the clipped form of the spec; a step across the border is 0."""
    rows, columns = len(f), len(f[0])

    def at(i, j, otherwise):
        return f[i][j] if 0 <= i < rows and 0 <= j < columns else otherwise

    def d(i, j):
        here = f[i][j]
        return math.sqrt((here - at(i + 1, j, here)) ** 2 + (here - at(i, j + 1, here)) ** 2)

    result = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            here = f[i][j]
            below, right = at(i + 1, j, here), at(i, j + 1, here)
            size = d(i, j)
            bend = 2 * here - below - right
            a = (2 * here + below + right) / 4 if size < omega else here - omega * bend / (4 * size)
            parts = []
            for up, left in ((1, 0), (0, 1)):
                if i - up < 0 or j - left < 0:
                    parts.append(here)
                    continue
                before, size = f[i - up][j - left], d(i - up, j - left)
                parts.append((here + before) / 2 if size < omega else here - omega * (here - before) / (2 * size))
            result[i][j] = (2 * a + parts[0] + parts[1]) / 4
    return torch.tensor(result, dtype=torch.float64)


@pytest.mark.parametrize("omega", [0.05, 0.8, 5.0])
def test_tv_pseudo_inverse_is_its_formula(omega):
    image = image_of(1, 1, 7, 5)
    made = TvPseudoInverse()(image, threshold(omega))[0, 0]
    assert torch.allclose(made, pseudo_inverse_by_loops(image[0, 0].tolist(), omega), atol=1e-12)


def test_coupled_channels_keep_the_phase():
    image = image_of(1, 1, 6, 6)
    phase = torch.tensor([0.6, 0.8], dtype=torch.float64).reshape(1, 2, 1, 1)
    made = TvPseudoInverse(coupled=True)(phase * image, threshold(0.3))
    assert torch.allclose(made, phase * TvPseudoInverse()(image, threshold(0.3)))


@pytest.mark.parametrize("name", ["tv-inverse", "tv-prox", "wavelet", "none"])
def test_every_sparsifier_keeps_constants_and_scales_with_its_threshold(name):
    sparsify = make_sparsifier(name)
    image = image_of(2, 1, 16, 16)
    assert torch.allclose(sparsify(torch.ones_like(image), threshold(0.1, 2)), torch.ones_like(image), atol=1e-6)
    once, thousandth = sparsify(image, threshold(0.1, 2)), sparsify(1e-3 * image, threshold(1e-4, 2))
    assert torch.allclose(thousandth, 1e-3 * once, rtol=1e-6, atol=1e-9)
    if name != "none":
        assert (once - once.mean()).norm() < (image - image.mean()).norm()


def test_wavelets_without_threshold_give_the_image_back_and_with_one_less_noise():
    image = image_of(1, 1, 16, 24)
    assert torch.allclose(Haar()(image, threshold(0.0)), image)
    flat = Haar()(image, threshold(10.0))
    assert flat.std() < 0.2


def test_derivative_is_finite_where_the_image_is_flat():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    TvPseudoInverse()(image, threshold(0.1)).square().sum().backward()
    assert torch.isfinite(image.grad).all()


def test_prox_does_not_remember_the_image_before():
    first, second = image_of(1, 1, 8, 8), 1 + image_of(1, 1, 8, 8)
    alone = prox_tv(second, threshold(0.2))
    prox_tv(first, threshold(0.2))
    assert torch.equal(prox_tv(second, threshold(0.2)), alone)


def test_unknown_sparsifier_is_refused():
    with pytest.raises(ScanweaveError, match="no 'curvelet'"):
        make_sparsifier("curvelet")
