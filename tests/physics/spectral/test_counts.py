import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.physics.spectral.counts import air_counts, area_densities, expected_counts, measure
from scanweave.physics.spectral.detectors import EnergyIntegrating, PhotonCounting
from scanweave.physics.spectral.materials import mass_attenuation
from scanweave.physics.spectral.spectra import monoenergetic, tube_spectrum

COUNTING = PhotonCounting((25.0, 50.0, 75.0))


def test_one_energy_obeys_beer_and_lambert():
    area = np.array([[0.0, 1.0, 20.0], [0.0, 0.5, 2.0]])
    expected = expected_counts(area, ("water", "bone"), monoenergetic(60.0), PhotonCounting((20.0,)), 1e5)
    path = area[0] * mass_attenuation("water", 60.0) + area[1] * mass_attenuation("bone", 60.0)
    np.testing.assert_allclose(expected[0], 1e5 * np.exp(-path), rtol=1e-12)


def test_open_beam_counts_all_photons_above_the_lowest_threshold():
    spectrum = tube_spectrum(120)
    air = air_counts(spectrum, COUNTING, 1e4)
    assert air.sum() == pytest.approx(1e4 * spectrum.shares[spectrum.energies >= 25].sum())
    np.testing.assert_allclose(expected_counts(np.zeros((1, 5)), ("water",), spectrum, COUNTING, 1e4).T[0], air)


def test_beam_hardens_more_in_one_wide_bin_than_in_the_top_bin():
    spectrum, area = tube_spectrum(120), np.array([[0.1, 30.0]])

    def kept(detector):
        """Return how much of the slope of a thin object is left behind 30 cm of water."""
        passed = expected_counts(area, ("water",), spectrum, detector, 1.0)[0]
        thin, thick = -np.log(passed / air_counts(spectrum, detector, 1.0)) / area[0]
        return thick / thin

    assert kept(PhotonCounting((10.0,))) < 0.9
    assert 0.99 < kept(PhotonCounting((100.0,))) < 1


def test_counts_are_poisson_distributed():
    area = np.full((1, 40000), 5.0)
    mean = expected_counts(area[:, :1], ("water",), tube_spectrum(80), COUNTING, 3000.0)[:, 0]
    drawn = measure(area, ("water",), tube_spectrum(80), COUNTING, 3000.0, np.random.default_rng(0))
    assert (drawn == np.rint(drawn)).all()
    np.testing.assert_allclose(drawn.mean(axis=1), mean, rtol=0.02)
    np.testing.assert_allclose(drawn.var(axis=1), mean, rtol=0.04)


def test_energy_sum_has_the_variance_of_the_compound_law_and_of_the_electronics():
    spectrum, detector = tube_spectrum(120), EnergyIntegrating(electronic_noise=900.0)
    drawn = measure(np.zeros((1, 40000)), ("water",), spectrum, detector, 400.0, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(400 * spectrum.mean_energy, rel=0.005)
    compound = 400 * (spectrum.shares @ spectrum.energies**2)
    assert drawn.var() == pytest.approx(compound + 900**2, rel=0.03)


def test_starved_detector_reads_its_electronic_noise():
    detector = EnergyIntegrating(electronic_noise=50.0)
    drawn = measure(np.full((1, 5000), 900.0), ("bone",), tube_spectrum(50), detector, 1e3, np.random.default_rng(0))
    assert np.isfinite(drawn).all()
    assert drawn.min() < 0
    assert drawn.std() == pytest.approx(50, rel=0.05)


def test_readings_are_cut_at_saturation():
    detector = PhotonCounting((25.0, 60.0), limit=1000)
    drawn = measure(np.zeros((1, 50)), ("water",), tube_spectrum(120), detector, 1e4, np.random.default_rng(0))
    assert (drawn == 1000).all()


def test_one_seed_gives_one_measurement():
    area = np.linspace(0, 20, 200).reshape(1, 10, 20)
    one, two, other = (
        measure(area, ("water",), tube_spectrum(80), COUNTING, 1e3, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (3, 10, 20)
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_area_densities_are_per_square_centimetre():
    maps = np.ones((2, 4, 100))
    area = area_densities(maps, lambda images: 0.5 * images.sum(axis=2, keepdims=True))  # pixels of half a millimetre
    np.testing.assert_allclose(area, 5.0)


@pytest.mark.parametrize(
    ("area", "photons"),
    [(np.zeros((2, 3)), 1e3), (np.full((1, 3), np.nan), 1e3), (np.zeros((1, 3)), 0.0), (np.zeros((1, 3)), np.inf)],
)
def test_bad_input_is_one_line(area, photons):
    with pytest.raises(ScanweaveError) as caught:
        expected_counts(area, ("water",), tube_spectrum(80), COUNTING, photons)
    assert "\n" not in str(caught.value)
