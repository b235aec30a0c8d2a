import numpy as np
import pytest
from scipy.optimize import nnls

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.counts import air_counts, expected_counts, measure
from scanweave.physics.spectral.decomposition import (
    binned_attenuation,
    decompose_images,
    hounsfield,
    monoenergetic_image,
)
from scanweave.physics.spectral.detectors import PhotonCounting
from scanweave.physics.spectral.likelihood import decompose_counts
from scanweave.physics.spectral.materials import linear_attenuation
from scanweave.physics.spectral.spectra import monoenergetic, tube_spectrum

DETECTOR = PhotonCounting((25.0, 34.0, 51.0, 65.0, 80.0), resolution=4.0)
SPECTRUM = tube_spectrum(120)
MATERIALS = ("water", "bone", "iodine", "gadolinium")


@pytest.fixture(scope="module")
def matrix():
    return binned_attenuation(MATERIALS, SPECTRUM, DETECTOR)


def _densities(seed=0, shape=(6, 7)):
    scales = np.array([1.0, 0.5, 0.01, 0.005])
    return scales[:, None, None] * np.random.default_rng(seed).uniform(size=(4, *shape))


def test_bin_average_lies_between_the_ends_of_the_bin(matrix):
    assert matrix.shape == (5, 4)
    assert (np.diff(matrix[:, :2], axis=0) < 0).all()  # water and bone fall with energy
    assert matrix[1, 2] > matrix[0, 2]  # the K-edge of iodine lies between the first two bins
    assert matrix[2, 3] > matrix[1, 3]  # and that of gadolinium between the next two


def test_thin_object_has_the_slope_of_the_bin_average(matrix):
    area = np.array([1e-4, 0, 0, 0])
    path = -np.log(expected_counts(area, MATERIALS, SPECTRUM, DETECTOR, 1.0) / air_counts(SPECTRUM, DETECTOR, 1.0))
    np.testing.assert_allclose(path / 1e-4, matrix[:, 0], rtol=1e-3)


def test_images_of_known_densities_decompose_into_them(matrix):
    densities = _densities()
    images = 0.1 * np.tensordot(matrix, densities, axes=(1, 0))
    for options in ({}, {"nonnegative": True}, {"weights": [1, 2, 3, 2, 1]}):
        np.testing.assert_allclose(decompose_images(images, matrix, **options), densities, atol=1e-9)


def test_constraint_gives_the_solution_of_scipy(matrix):
    rng = np.random.default_rng(1)
    images = rng.normal(0.02, 0.02, (5, 40))
    ours = decompose_images(images, matrix, nonnegative=True)
    theirs = np.stack([nnls(matrix, 10 * column)[0] for column in images.T], axis=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-8)
    assert (ours == 0).any()


def test_likelihood_recovers_exact_counts_through_beam_hardening():
    area = np.array([20.0, 2.0, 0.03, 0.02])[:, None] * np.linspace(0.1, 1, 30)
    counts = expected_counts(area, MATERIALS, SPECTRUM, DETECTOR, 1e6)
    found = decompose_counts(counts, MATERIALS, SPECTRUM, DETECTOR, 1e6)
    np.testing.assert_allclose(found, area, rtol=0.01, atol=2e-4)


def test_likelihood_is_unbiased_and_beats_least_squares_of_the_logarithm(matrix):
    materials, keep = ("water", "iodine"), [0, 2]
    area = np.array([15.0, 0.03])[:, None] * np.ones(3000)
    counts = measure(area, materials, SPECTRUM, DETECTOR, 2e5, np.random.default_rng(0))
    found = decompose_counts(counts, materials, SPECTRUM, DETECTOR, 2e5)
    np.testing.assert_allclose(found.mean(axis=1), area[:, 0], rtol=0.01)
    logged = -np.log(np.maximum(counts, 1) / air_counts(SPECTRUM, DETECTOR, 2e5)[:, None])
    simple = np.linalg.pinv(matrix[:, keep]) @ logged
    assert (abs(found - area).mean(axis=1) < 0.8 * abs(simple - area).mean(axis=1)).all()


def test_likelihood_survives_darkness():
    counts = np.zeros((5, 3))
    counts[:, 1] = 3
    assert np.isfinite(decompose_counts(counts, ("water", "bone"), SPECTRUM, DETECTOR, 1e4)).all()


def test_monoenergetic_image_is_the_attenuation_of_the_mixture():
    image = monoenergetic_image(np.array([[[0.5]], [[0.96]]]), ("water", "bone"), 70.0)
    wanted = linear_attenuation("water", 70.0, 0.5) + linear_attenuation("bone", 70.0, 0.96)
    assert image[0, 0] == pytest.approx(wanted)


def test_hounsfield_numbers_of_water_and_air():
    np.testing.assert_allclose(hounsfield(np.array([linear_attenuation("water", 70.0), 0.0]), 70.0), [0, -1000])


@pytest.mark.parametrize(
    "call",
    [
        lambda matrix: decompose_images(np.ones((4, 2, 2)), matrix),
        lambda matrix: decompose_images(np.ones((5, 2, 2)), matrix, weights=[1, 1]),
        lambda matrix: decompose_images(np.ones((2, 2, 2)), matrix[:2]),
        lambda matrix: decompose_images(np.ones((5, 2)), np.stack([matrix[:, 0], 2 * matrix[:, 0]], axis=1)),
        lambda _: binned_attenuation(MATERIALS, monoenergetic(60.0), DETECTOR.__class__((20.0, 70.0))),
        lambda _: decompose_counts(np.ones((4, 2)), ("water",), SPECTRUM, DETECTOR, 1e4),
        lambda _: decompose_counts(np.full((5, 2), np.nan), ("water",), SPECTRUM, DETECTOR, 1e4),
        lambda _: decompose_counts(np.full((5, 2), -1.0), ("water",), SPECTRUM, DETECTOR, 1e4),
    ],
)
def test_what_cannot_be_decomposed_is_one_line(matrix, call):
    with pytest.raises(ScanweaveError) as caught:
        call(matrix)
    assert "\n" not in str(caught.value)
