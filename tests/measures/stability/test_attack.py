"""Attacks on maps whose worst direction is known."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.measures.batches import norms
from scanweave.measures.stability.attack import AttackSettings, Target, attack, in_batches, projected


@pytest.fixture(scope="module")
def linear():
    """A matrix with one clearly largest singular value, as a method of measurements `(B, 1, 4, 5)`."""
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(16, 16, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64))
    values = torch.linspace(0.2, 2.0, 16, dtype=torch.float64)
    values[7] = 3.0
    matrix = left @ torch.diag(values) @ right[:16]

    def reconstruct(measurement):
        return (measurement.flatten(1) @ matrix.T).reshape(-1, 1, 4, 4)

    return reconstruct, right[7], matrix


@pytest.mark.parametrize(
    "settings",
    [AttackSettings(iterations=60, warm_up=0), AttackSettings(iterations=0, warm_up=25), AttackSettings(restarts=1)],
)
def test_finds_the_largest_singular_vector_within_the_radius(linear, settings):
    reconstruct, worst, _ = linear
    measurement = torch.randn(3, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    radius = torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    found = attack(Target(reconstruct, measurement), radius, settings)
    assert (norms(found.perturbation) <= radius * (1 + 1e-9)).all()
    assert torch.allclose(found.change, 3.0 * radius, rtol=0.01)
    along = (found.perturbation.flatten(1) @ worst).abs() / radius
    assert (along > 0.99).all()
    changed = reconstruct(measurement + found.perturbation) - reconstruct(measurement)
    assert torch.allclose(norms(changed), found.change)


def test_image_domain_attacks_what_the_scanner_sees(linear):
    reconstruct, _, matrix = linear
    generator = torch.Generator().manual_seed(2)
    scanner = torch.randn(20, 16, generator=generator, dtype=torch.float64)

    def forward(image):
        return (image.flatten(1) @ scanner.T).reshape(-1, 1, 4, 5)

    image = torch.randn(2, 1, 4, 4, generator=generator, dtype=torch.float64)
    target = Target(reconstruct, forward(image), image, forward)
    found = attack(target, torch.ones(2, dtype=torch.float64), AttackSettings(warm_up=40))
    assert found.perturbation.shape == image.shape
    largest = torch.linalg.matrix_norm(matrix @ scanner, 2)
    assert torch.allclose(found.change, largest.expand(2), rtol=0.02)


def test_batches_give_what_one_call_gives_for_images_on_their_own(linear):
    reconstruct, _, _ = linear
    measurement = torch.ones(3, 1, 4, 5, dtype=torch.float64)
    radius = torch.full((3,), 0.5, dtype=torch.float64)
    found = in_batches(Target(reconstruct, measurement), radius, AttackSettings(iterations=30), batch=2)
    assert found.history.shape == (3, 36, 3)
    assert torch.allclose(found.change, torch.full((3,), 1.5, dtype=torch.float64), rtol=0.01)


def test_projection_leaves_what_is_inside():
    inside, outside = torch.full((1, 1, 2, 2), 0.1), torch.full((1, 1, 2, 2), 3.0)
    both = projected(torch.cat([inside, outside]), torch.tensor([1.0, 1.0]))
    assert torch.equal(both[:1], inside)
    assert norms(both[1:]).item() == pytest.approx(1.0)


def test_method_without_derivative_is_refused():
    target = Target(lambda measurement: measurement.detach() * 2, torch.ones(1, 1, 2, 2))
    with pytest.raises(ScanweaveError, match="no derivative"):
        attack(target, torch.ones(1), AttackSettings(iterations=1, restarts=1))


@pytest.mark.parametrize("wrong", [{"restarts": 0}, {"iterations": 0, "warm_up": 0}, {"rate": 0.0}])
def test_settings_without_an_attack_are_refused(wrong):
    with pytest.raises(ScanweaveError, match="attack"):
        AttackSettings(**wrong)
